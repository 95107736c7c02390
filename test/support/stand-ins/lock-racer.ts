import { isAppError } from '../../../src/base/errors.ts';
import { lockDataFolder } from '../../../src/local/data-folder.ts';

/** Tries to lock the folder it is given whenever it is told to, and says what came of it. */
process.on('message', () => {
  try {
    lockDataFolder(process.argv[2] ?? '');
    process.send?.('mine');
  } catch (error) {
    process.send?.(isAppError(error) ? error.code : String(error));
  }
});
process.send?.('up');
