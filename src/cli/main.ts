import { openProcessIo } from './io.ts';
import { runCli } from './program.ts';

const leave = (code: number): void => {
  // written last, so everything before it is out
  process.stdout.write('', () => process.exit(code));
};

// whoever reads our output (head, less) may stop before the end
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 70));

leave(await runCli(process.argv.slice(2), openProcessIo()));
