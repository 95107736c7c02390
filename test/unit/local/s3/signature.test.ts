import { describe, expect, it } from 'vitest';
import { type SignedRequest, verifySignature } from '../../../../src/local/s3/signature.ts';
import { parseTarget } from '../../../../src/local/s3/uri.ts';

/** The examples of AWS's own documentation: "Authenticating Requests: Using the Authorization Header" and "Query Parameters". */
const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const atMs = Date.UTC(2013, 4, 24);
const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const scope = '20130524/us-east-1/s3/aws4_request';

function signed(
  method: string,
  target: string,
  headers: Record<string, string>,
  names: string,
  signature: string,
): SignedRequest {
  const all = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${names},Signature=${signature}`,
  };
  return {
    method,
    target: parseTarget(target),
    headers: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])),
  };
}

const getObject = (target = '/test.txt'): SignedRequest =>
  signed(
    'GET',
    target,
    { range: 'bytes=0-9', 'x-amz-content-sha256': emptyHash },
    'host;range;x-amz-content-sha256;x-amz-date',
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );

const presigned = (extra = '', expires = '86400'): SignedRequest => ({
  method: 'GET',
  target: parseTarget(
    `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${credentials.accessKeyId}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=${expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404${extra}`,
  ),
  headers: { host: ['examplebucket.s3.amazonaws.com'] },
});

describe('verifySignature', () => {
  it('accepts the documented GET of a range', () => {
    expect(verifySignature(getObject(), credentials, atMs)).toEqual({ type: 'sha256', hex: emptyHash });
  });

  it('accepts the documented PUT with a dollar sign in its key', () => {
    const hex = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072';
    const put = signed(
      'PUT',
      '/test%24file.text',
      {
        date: 'Fri, 24 May 2013 00:00:00 GMT',
        'x-amz-content-sha256': hex,
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      },
      'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    );
    expect(verifySignature(put, credentials, atMs)).toEqual({ type: 'sha256', hex });
  });

  it('accepts the documented GET of a sub-resource and of a listing', () => {
    const names = 'host;x-amz-content-sha256;x-amz-date';
    const lifecycle = 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543';
    const listing = '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7';
    const headers = { 'x-amz-content-sha256': emptyHash };
    expect(verifySignature(signed('GET', '/?lifecycle', headers, names, lifecycle), credentials, atMs).type).toBe(
      'sha256',
    );
    const list = signed('GET', '/?max-keys=2&prefix=J', headers, names, listing);
    expect(verifySignature(list, credentials, atMs).type).toBe('sha256');
  });

  it('accepts the documented presigned GET until it expires', () => {
    expect(verifySignature(presigned(), credentials, atMs)).toEqual({ type: 'unsigned' });
    expect(verifySignature(presigned(), credentials, atMs + 86_400_000)).toEqual({ type: 'unsigned' });
    expect(() => verifySignature(presigned(), credentials, atMs + 86_400_001)).toThrow('the request has expired');
    expect(() => verifySignature(presigned(), credentials, atMs - 16 * 60_000)).toThrow('not valid yet');
  });

  it('rejects a longer life, a further parameter and a changed path of a presigned URL', () => {
    expect(() => verifySignature(presigned('', '86401'), credentials, atMs)).toThrow('does not match');
    expect(() => verifySignature(presigned('&response-content-type=x'), credentials, atMs)).toThrow('does not match');
    const other = { ...presigned(), target: { ...presigned().target, path: '/test2.txt' } };
    expect(() => verifySignature(other, credentials, atMs)).toThrow('does not match');
    for (const expires of ['0', '604801', 'soon', '1.5', '']) {
      expect(() => verifySignature(presigned('', expires), credentials, atMs)).toThrow('X-Amz-Expires must be');
    }
  });

  it('rejects any change of what was signed', () => {
    const original = getObject();
    const changes: readonly SignedRequest[] = [
      { ...original, method: 'PUT' },
      getObject('/test.txt?versions'),
      getObject('/Test.txt'),
      { ...original, headers: { ...original.headers, range: ['bytes=0-10'] } },
      { ...original, headers: { ...original.headers, host: ['other.example'] } },
    ];
    for (const changed of changes) {
      expect(() => verifySignature(changed, credentials, atMs)).toThrow('the signature does not match');
    }
  });

  it('rejects a wrong secret and an unknown key by different codes', () => {
    const secret = { ...credentials, secretAccessKey: 'other' };
    const key = { ...credentials, accessKeyId: 'OTHER' };
    expect(() => verifySignature(getObject(), secret, atMs)).toThrow(
      expect.objectContaining({ code: 'SignatureDoesNotMatch', status: 403 }),
    );
    expect(() => verifySignature(getObject(), key, atMs)).toThrow(
      expect.objectContaining({ code: 'InvalidAccessKeyId', status: 403 }),
    );
  });

  it('allows fifteen minutes between the clocks', () => {
    for (const skewMs of [-900_000, 900_000]) {
      expect(verifySignature(getObject(), credentials, atMs + skewMs).type).toBe('sha256');
    }
    for (const skewMs of [-901_000, 901_000]) {
      expect(() => verifySignature(getObject(), credentials, atMs + skewMs)).toThrow(
        expect.objectContaining({ code: 'RequestTimeTooSkewed' }),
      );
    }
  });

  it('rejects x-amz headers and a host that were not signed', () => {
    const original = getObject();
    const extra = { ...original, headers: { ...original.headers, 'x-amz-meta-role': ['admin'] } };
    expect(() => verifySignature(extra, credentials, atMs)).toThrow('not signed: x-amz-meta-role');
    const noHost = signed(
      'GET',
      '/',
      { 'x-amz-content-sha256': emptyHash },
      'x-amz-content-sha256;x-amz-date',
      'a'.repeat(64),
    );
    expect(() => verifySignature(noHost, credentials, atMs)).toThrow('not signed: host');
  });

  it('rejects what is not of the form', () => {
    const bare: SignedRequest = { method: 'GET', target: parseTarget('/'), headers: { host: ['h'] } };
    const withHeaders = (headers: Record<string, readonly string[]>): SignedRequest => ({
      ...bare,
      headers: { ...bare.headers, ...headers },
    });
    const cases: readonly (readonly [SignedRequest, string])[] = [
      [bare, 'AccessDenied'],
      [withHeaders({ authorization: ['AWS AKIA:signature'] }), 'AuthorizationHeaderMalformed'],
      [
        withHeaders({ authorization: ['AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c'] }),
        'MissingSecurityHeader',
      ],
      [
        signed('GET', '/', { 'x-amz-content-sha256': emptyHash, 'x-amz-date': 'yesterday' }, 'host', 'c'),
        'AccessDenied',
      ],
      [
        signed('GET', '/', { 'x-amz-content-sha256': emptyHash, 'x-amz-date': '20130525T000000Z' }, 'host', 'c'),
        'AuthorizationHeaderMalformed',
      ],
      [
        signed('GET', '/', { 'x-amz-content-sha256': emptyHash, 'x-amz-security-token': 't' }, 'host', 'c'),
        'InvalidToken',
      ],
    ];
    for (const [request, code] of cases) {
      expect(() => verifySignature(request, credentials, atMs)).toThrow(expect.objectContaining({ code }));
    }
  });
});
