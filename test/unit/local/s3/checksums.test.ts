import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type ChecksumAlgorithm, openChecksum } from '../../../../src/local/s3/checksums.ts';

const digestOf = (algorithm: ChecksumAlgorithm, ...pieces: readonly string[]): string => {
  const running = openChecksum(algorithm);
  for (const piece of pieces) running.update(Buffer.from(piece));
  return running.digest().toString('hex');
};

describe('openChecksum', () => {
  it('gives the check values of the catalogue of CRCs', () => {
    expect(digestOf('CRC32', '123456789')).toBe('cbf43926');
    expect(digestOf('CRC32C', '123456789')).toBe('e3069283');
    expect(digestOf('CRC64NVME', '123456789')).toBe('ae8b14860a799888');
  });

  it('gives the digests of the hash functions', () => {
    expect(digestOf('SHA1', 'abc')).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
    expect(digestOf('SHA256', 'abc')).toBe(createHash('sha256').update('abc').digest('hex'));
  });

  it('does not depend on how the bytes are cut', () => {
    for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
      expect(digestOf(algorithm, '1', '', '2345', '6789')).toBe(digestOf(algorithm, '123456789'));
    }
  });

  it('gives zero for the CRC of nothing', () => {
    expect(digestOf('CRC32')).toBe('00000000');
    expect(digestOf('CRC32C')).toBe('00000000');
    expect(digestOf('CRC64NVME')).toBe('0000000000000000');
  });
});
