import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkPortFree, findFreePort, isPortFree } from '../../src/local/ports.ts';

let stranger: Server;
let taken: number;

beforeEach(async () => {
  taken = await findFreePort('127.0.0.1');
  stranger = createServer();
  stranger.listen(taken, '127.0.0.1');
  await once(stranger, 'listening');
});

afterEach(() => stranger.close());

describe('ports', () => {
  it('lie below those of outgoing connections', () => {
    expect(taken).toBeGreaterThanOrEqual(20_000);
    expect(taken).toBeLessThan(32_000);
  });

  it('takes the preferred port when it is free and not promised to another', async () => {
    const preferred = await findFreePort('127.0.0.1');
    expect(await findFreePort('127.0.0.1', { preferred })).toBe(preferred);
    expect(await findFreePort('127.0.0.1', { preferred, avoid: [preferred] })).not.toBe(preferred);
    expect(await findFreePort('127.0.0.1', { preferred: taken })).not.toBe(taken);
  });

  it('tells a taken port from an address that is not ours', async () => {
    expect(await isPortFree('127.0.0.1', taken)).toBe(false);
    await expect(checkPortFree('127.0.0.1', taken, 'the api')).rejects.toMatchObject({
      code: 'input.port-taken',
      message: `port ${taken} on 127.0.0.1 is taken, the api needs it; choose another`,
    });
    // 192.0.2.0/24 is kept for documentation: no machine has it
    await expect(isPortFree('192.0.2.1', taken)).rejects.toMatchObject({ code: 'input.config' });
  });
});
