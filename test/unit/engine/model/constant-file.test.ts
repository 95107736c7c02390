import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConstantFile } from '../../../../src/engine/model/constant-file.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';

describe('ConstantFile', () => {
  it('writes pieces at multiples of 64 bytes and names their places', async () => {
    const folder = await openTemporaryFolder('constants');
    const path = join(folder.path, 'stage.weights');
    const file = new ConstantFile(path);
    const places = [70, 64, 1].map((length, index) => file.write(new Uint8Array(length).fill(index + 1)));
    file.close();
    expect(places).toEqual([
      { file: 'stage.weights', offset: 0, length: 70 },
      { file: 'stage.weights', offset: 128, length: 64 },
      { file: 'stage.weights', offset: 192, length: 1 },
    ]);
    const bytes = readFileSync(path);
    expect(bytes).toHaveLength(193);
    expect([bytes[69], bytes[70], bytes[128], bytes[192]]).toEqual([1, 0, 2, 3]);
    await folder.remove();
  });
});
