import { describe, expect, it } from 'vitest';
import { encodeKey, RequestSigner, type SignableRequest } from '../../../src/storage/s3-signature.ts';

/** Source: AWS, "Signature Calculations for the Authorization Header", examples of 2013-05-24. */
const identity = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
} as const;
const nowMs = Date.UTC(2013, 4, 24);
const host = 'examplebucket.s3.amazonaws.com';

const signatureOf = (request: SignableRequest): string | undefined =>
  /Signature=(\w+)$/.exec(new RequestSigner('us-east-1').sign(request, identity, nowMs)['authorization'] ?? '')?.[1];

describe('RequestSigner', () => {
  it('signs as AWS shows it', () => {
    expect(signatureOf({ method: 'GET', path: '/test.txt', headers: { host, range: 'bytes=0-9' }, body: null })).toBe(
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    );
    expect(
      signatureOf({
        method: 'PUT',
        path: `/${encodeKey('test$file.text')}`,
        headers: { host, date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
        body: Buffer.from('Welcome to Amazon S3.'),
      }),
    ).toBe('98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd');
  });

  it('signs the token of a session, and anew on another day or with another secret', () => {
    const signer = new RequestSigner('eu-central-1');
    const request = { method: 'GET', path: '/a', headers: { host }, body: null };
    const first = signer.sign(request, { ...identity, sessionToken: 'token' }, nowMs);
    expect(first).toMatchObject({ 'x-amz-security-token': 'token', 'x-amz-date': '20130524T000000Z' });
    expect(first['authorization']).toContain('/20130524/eu-central-1/s3/aws4_request, SignedHeaders=host;');
    expect(first['authorization']).toContain('x-amz-security-token');
    const days = [nowMs, nowMs + 86_400_000].map((dayMs) => signer.sign(request, identity, dayMs)['authorization']);
    const other = signer.sign(request, { ...identity, secretAccessKey: 'other' }, nowMs)['authorization'];
    expect(new Set([...days, other]).size).toBe(3);
    expect(signer.sign(request, identity, nowMs)['authorization']).toBe(days[0]);
  });

  it('encodes everything in a key but unreserved characters and slashes', () => {
    expect(encodeKey("a//b/./c d+e!'()*~é%2F")).toBe('a//b/./c%20d%2Be%21%27%28%29%2A~%C3%A9%252F');
  });
});
