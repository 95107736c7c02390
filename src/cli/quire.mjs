#!/usr/bin/env node
// The command as npm links it: loads TypeScript sources through tsx, whatever folder it is called from.
import { register } from 'tsx/esm/api';

register();
await import('./main.ts');
