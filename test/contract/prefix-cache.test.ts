import { NoPrefixCache } from '../../src/engine/kv/no-prefix-cache.ts';
import { RadixPrefixCache } from '../../src/engine/kv/radix-prefix-cache.ts';
import { prefixCacheSuite } from './prefix-cache.suite.ts';

prefixCacheSuite('radix', (budget) => new RadixPrefixCache(budget));
prefixCacheSuite('none', (budget) => new NoPrefixCache(budget));
