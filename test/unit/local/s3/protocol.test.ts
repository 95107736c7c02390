import { describe, expect, it } from 'vitest';
import { parseRange } from '../../../../src/local/s3/byte-range.ts';
import {
  compileDeleteCondition,
  compileWriteCondition,
  evaluateReadConditions,
} from '../../../../src/local/s3/conditions.ts';
import type { ObjectMeta } from '../../../../src/local/s3/object-file.ts';
import { findRoute } from '../../../../src/local/s3/route-table.ts';
import { checkAmzHeaders } from '../../../../src/local/s3/stored-headers.ts';
import { encodePath, parseTarget } from '../../../../src/local/s3/uri.ts';
import { findChildText, parseXml, writeXml } from '../../../../src/local/s3/xml.ts';

const coded = (code: string): unknown => expect.objectContaining({ code });

describe('parseRange', () => {
  it('reads the three forms', () => {
    expect(parseRange('bytes=2-5', 10)).toEqual({ start: 2, end: 6 });
    expect(parseRange('bytes=2-', 10)).toEqual({ start: 2, end: 10 });
    expect(parseRange('bytes=-3', 10)).toEqual({ start: 7, end: 10 });
    expect(parseRange('bytes=-30', 10)).toEqual({ start: 0, end: 10 });
    expect(parseRange('bytes=9-99', 10)).toEqual({ start: 9, end: 10 });
  });

  it('takes what is no single range of bytes for no range', () => {
    for (const header of [undefined, '', 'bytes=', 'bytes=-', 'bytes=5-2', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=a-b']) {
      expect(parseRange(header, 10), header).toBeUndefined();
    }
  });

  it('rejects a range without a byte in it', () => {
    for (const [header, bodyBytes] of [
      ['bytes=10-', 10],
      ['bytes=99-100', 10],
      ['bytes=-0', 10],
      ['bytes=0-0', 0],
      ['bytes=-1', 0],
    ] as const) {
      expect(() => parseRange(header, bodyBytes), header).toThrow(coded('InvalidRange'));
    }
  });
});

describe('conditions', () => {
  const meta: ObjectMeta = {
    key: 'k',
    bytes: 1,
    etag: 'abc',
    lastModifiedMs: Date.UTC(2026, 10, 23, 12, 0, 0, 789),
    headers: {},
    metadata: {},
    checksum: null,
  };
  const on = (headers: Record<string, string>) => (name: string) => headers[name];
  const write = (headers: Record<string, string>, current?: ObjectMeta): void =>
    compileWriteCondition(on(headers))(current);
  const read = (headers: Record<string, string>): string => evaluateReadConditions(on(headers), meta);

  it('creates once and swaps by etag', () => {
    expect(write({})).toBeUndefined();
    expect(write({ 'if-none-match': '*' })).toBeUndefined();
    expect(() => write({ 'if-none-match': '*' }, meta)).toThrow(coded('PreconditionFailed'));
    expect(write({ 'if-match': '"abc"' }, meta)).toBeUndefined();
    expect(write({ 'if-match': 'abc' }, meta)).toBeUndefined();
    expect(() => write({ 'if-match': '"other"' }, meta)).toThrow(coded('PreconditionFailed'));
    expect(() => write({ 'if-match': '"abc"' })).toThrow(coded('NoSuchKey'));
  });

  it('refuses forms of a write it would get wrong', () => {
    for (const headers of [
      { 'if-none-match': '"abc"' },
      { 'if-match': '*' },
      { 'if-match': '"a"', 'if-none-match': '*' },
    ]) {
      expect(() => compileWriteCondition(on(headers as Record<string, string>))).toThrow(coded('NotImplemented'));
    }
  });

  it('deletes by etag', () => {
    expect(compileDeleteCondition(on({}))(undefined)).toBeUndefined();
    expect(compileDeleteCondition(on({ 'if-match': '"abc"' }))(meta)).toBeUndefined();
    expect(() => compileDeleteCondition(on({ 'if-match': '"x"' }))(meta)).toThrow(coded('PreconditionFailed'));
    expect(() => compileDeleteCondition(on({ 'if-match': '*' }))(undefined)).toThrow(coded('PreconditionFailed'));
  });

  it('answers reads by etag first and by time second', () => {
    const same = 'Mon, 23 Nov 2026 12:00:00 GMT';
    const before = 'Mon, 23 Nov 2026 11:59:59 GMT';
    expect(read({})).toBe('read');
    expect(read({ 'if-none-match': '"abc"' })).toBe('not-modified');
    expect(read({ 'if-none-match': 'W/"abc"' })).toBe('not-modified');
    expect(read({ 'if-none-match': '*' })).toBe('not-modified');
    expect(read({ 'if-none-match': '"x", "y"' })).toBe('read');
    expect(read({ 'if-modified-since': same })).toBe('not-modified');
    expect(read({ 'if-modified-since': before })).toBe('read');
    expect(read({ 'if-none-match': '"x"', 'if-modified-since': same })).toBe('read');
    expect(read({ 'if-match': '"x", "abc"' })).toBe('read');
    expect(() => read({ 'if-match': '"x"' })).toThrow(coded('PreconditionFailed'));
    expect(read({ 'if-unmodified-since': same })).toBe('read');
    expect(() => read({ 'if-unmodified-since': before })).toThrow(coded('PreconditionFailed'));
    expect(read({ 'if-match': '"abc"', 'if-unmodified-since': before })).toBe('read');
    expect(read({ 'if-modified-since': 'whenever' })).toBe('read');
  });
});

describe('findRoute', () => {
  const find = (method: string, target: string): string => {
    const { path, query } = parseTarget(target);
    const [, bucket = '', ...key] = path.split('/');
    return findRoute(method, bucket, key.join('/'), query).run.name;
  };

  it('finds operations by method, place and sub-resource', () => {
    expect(find('GET', '/')).toBe('listBuckets');
    expect(find('GET', '/b?list-type=2&prefix=a')).toBe('listObjects');
    expect(find('GET', '/b/?location')).toBe('getBucketLocation');
    expect(find('PUT', '/b/k?x-id=PutObject')).toBe('putObject');
    expect(find('PUT', '/b/k?partNumber=1&uploadId=u&x-id=UploadPart')).toBe('uploadPart');
    expect(find('GET', '/b/k?uploadId=u')).toBe('listParts');
    expect(find('GET', '/b/k?response-content-type=text/plain')).toBe('getObject');
    expect(find('DELETE', '/b/k?uploadId=u')).toBe('abortUpload');
  });

  it('never takes an unknown sub-resource for an operation on the object', () => {
    for (const target of [
      '/b/k?tagging',
      '/b/k?acl',
      '/b/k?versionId=null',
      '/b/k?retention',
      '/b/k?partNumber=1',
      '/b/k?torrent',
    ]) {
      for (const method of ['PUT', 'GET', 'DELETE', 'HEAD']) {
        expect(() => find(method, target), `${method} ${target}`).toThrow(coded('NotImplemented'));
      }
    }
    for (const target of [
      '/b?notification',
      '/b?lifecycle',
      '/b?versioning',
      '/b',
      '/b?list-type=2&unknown=1',
      '/b?list-type=2&list-type=2',
    ]) {
      expect(() => find('GET', target), target).toThrow(coded('NotImplemented'));
    }
    expect(() => find('PUT', '/b?notification')).toThrow(coded('NotImplemented'));
    expect(() => find('POST', '/b/k?restore')).toThrow(coded('NotImplemented'));
    expect(() => find('POST', '/b/k?uploads&uploadId=u')).toThrow(coded('NotImplemented'));
  });

  it('rejects methods that have no meaning', () => {
    expect(() => find('PATCH', '/b/k')).toThrow(coded('MethodNotAllowed'));
    expect(() => find('POST', '/')).toThrow(coded('MethodNotAllowed'));
    expect(() => find('OPTIONS', '/b/k')).toThrow(coded('MethodNotAllowed'));
  });
});

describe('checkAmzHeaders', () => {
  const check = (headers: Record<string, string>): void =>
    checkAmzHeaders({ headerNames: Object.keys(headers), header: (name) => headers[name] });

  it('refuses headers whose meaning would be lost', () => {
    for (const [name, value] of [
      ['x-amz-tagging', 'a=b'],
      ['x-amz-server-side-encryption', 'AES256'],
      ['x-amz-acl', 'public-read'],
      ['x-amz-storage-class', 'GLACIER'],
      ['x-amz-write-offset-bytes', '5'],
      ['x-amz-object-lock-mode', 'COMPLIANCE'],
      ['x-amz-something-new', '1'],
    ] as const) {
      expect(() => check({ [name]: value }), name).toThrow(coded('NotImplemented'));
    }
    expect(check({ 'x-amz-acl': 'private', 'x-amz-storage-class': 'STANDARD', 'x-amz-meta-any': 'x' })).toBeUndefined();
  });
});

describe('uri', () => {
  it('keeps the path as it was sent, dots and slashes included', () => {
    expect(parseTarget('/b/a/../b//c/./?x=1&y').path).toBe('/b/a/../b//c/./');
    expect(parseTarget('/b?a=1&b=%26+c&d').query).toEqual([
      ['a', '1'],
      ['b', '& c'],
      ['d', ''],
    ]);
    expect(encodePath("/b/a b+c'(*)!~é/")).toBe('/b/a%20b%2Bc%27%28%2A%29%21~%C3%A9/');
  });

  it('rejects targets that are no path or no UTF-8', () => {
    for (const target of ['http://host/b', '*', '', '/%zz', '/%ff', '/b?x=%f']) {
      expect(() => parseTarget(target), target).toThrow(coded('InvalidURI'));
    }
  });
});

describe('xml', () => {
  it('writes text so that it comes back', () => {
    const text = 'a<b>&"\'\r\n\t\u0001 é 🗂';
    const xml = writeXml(['R', [['Key', text], undefined, ['N', 5]]]);
    expect(findChildText(parseXml(xml), 'Key')).toBe(text);
    expect(xml).toContain('xmlns="http://s3.amazonaws.com/doc/2006-03-01/"');
  });

  it('reads namespaces, comments, empty elements and character references', () => {
    const root = parseXml(
      '<?xml version="1.0"?>\n<!-- c --><s3:A xmlns:s3="x"><B/><C a=\'1\'>x&#65;&#x1F5C2;</C> </s3:A>\n',
    );
    expect(root.name).toBe('A');
    expect(findChildText(root, 'B')).toBe('');
    expect(findChildText(root, 'C')).toBe('xA🗂');
    expect(findChildText(root, 'D')).toBeUndefined();
  });

  it('rejects what is malformed, and entities of its own', () => {
    const cases = [
      '',
      'text',
      '<A>',
      '<A></B>',
      '</A>',
      '<A/><B/>',
      '<A>x</A>tail',
      '<A>&unknown;</A>',
      '<A>&amp</A>',
      '<A>&#x110000;</A>',
      '<!DOCTYPE a [<!ENTITY x "y">]><A>&x;</A>',
      '<A><![CDATA[x]]></A>',
      '<A attribute></A>',
      `${'<A>'.repeat(20)}${'</A>'.repeat(20)}`,
    ];
    for (const xml of cases) expect(() => parseXml(xml), xml).toThrow(coded('MalformedXML'));
    expect(() => findChildText(parseXml('<A><B/><B/></A>'), 'B')).toThrow(coded('MalformedXML'));
  });
});
