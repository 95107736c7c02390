import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkKeyText, decodeName, folderOfPrefix, placeOfKey } from '../../../../src/local/s3/key-path.ts';

const key = fc.string({
  unit: fc.constantFrom('a', 'B', '.', '/', '%', '@', 'é', '文', '🗂', ' ', '-', '\\', ':'),
  minLength: 1,
  maxLength: 40,
});

describe('placeOfKey', () => {
  it('leaves plain keys readable', () => {
    expect(placeOfKey('v1/default/batches/batch_0a/batch.json').path).toBe(
      'keys/v1/default/batches/batch_0a/batch.json@',
    );
  });

  it('escapes what a file system could take for something else', () => {
    expect(placeOfKey('../Up/..').path).toBe('keys/%2e./%55p/%2e.@');
    expect(placeOfKey('a//b/').path).toBe('keys/a/%/b/%@');
    expect(placeOfKey('a@').path).toBe('keys/a%40@');
    expect(placeOfKey('é').path).toBe('keys/%c3%a9@');
  });

  it('is injective, also on file systems that fold case', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        const [first, second] = [placeOfKey(a).path.toLowerCase(), placeOfKey(b).path.toLowerCase()];
        return a === b || first !== second;
      }),
      { numRuns: 2000 },
    );
  });

  it('never leaves its folder and never names a file as a folder', () => {
    fc.assert(
      fc.property(key, (text) => {
        const names = placeOfKey(text).path.split('/');
        const file = names.pop() ?? '';
        expect(names.every((name) => name !== '' && !name.startsWith('.') && !name.endsWith('@'))).toBe(true);
        expect(file.endsWith('@') && !file.startsWith('.')).toBe(true);
      }),
    );
  });

  it('puts keys with long names aside, by their digest', () => {
    for (const text of ['x'.repeat(241), `${'d/'.repeat(450)}x`, '文'.repeat(90)]) {
      expect(placeOfKey(text)).toMatchObject({ type: 'long', path: expect.stringMatching(/^long\/[0-9a-f]{64}@$/) });
    }
    expect(placeOfKey('x'.repeat(240)).type).toBe('path');
  });

  it('keeps every path short enough for any data folder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 250 }), (text) => {
        const { path } = placeOfKey(text);
        return path.length <= 800 && path.split('/').every((name) => name.length <= 255);
      }),
    );
  });
});

describe('decodeName', () => {
  it('reads every segment back', () => {
    fc.assert(
      fc.property(key, (text) => {
        const [, ...names] = placeOfKey(text).path.split('/');
        const decoded = names.map(decodeName);
        expect(decoded.map((name) => name?.segment).join('/')).toBe(text);
        expect(decoded.map((name) => name?.type)).toEqual([...names.slice(1).map(() => 'folder'), 'file']);
      }),
    );
  });

  it('does not know names that are not ours', () => {
    for (const name of ['.DS_Store', 'Upper@', 'a b@', '%C3@', '%c3@', '%61@', '@', '']) {
      expect(decodeName(name), name).toBeUndefined();
    }
  });
});

describe('folderOfPrefix', () => {
  it('is the folder of the last slash', () => {
    expect(folderOfPrefix('')).toBe('keys');
    expect(folderOfPrefix('ab')).toBe('keys');
    expect(folderOfPrefix('a/b/c')).toBe('keys/a/b');
    expect(folderOfPrefix('a//')).toBe('keys/a/%');
    expect(folderOfPrefix(`${'x'.repeat(300)}/`)).toBeUndefined();
  });
});

describe('checkKeyText', () => {
  it('allows 1,024 bytes and no NUL', () => {
    expect(checkKeyText('x'.repeat(1024))).toBeUndefined();
    expect(() => checkKeyText('é'.repeat(513))).toThrow(expect.objectContaining({ code: 'KeyTooLongError' }));
    for (const text of ['', 'a\0b', '\ud800']) {
      expect(() => checkKeyText(text)).toThrow(expect.objectContaining({ code: 'InvalidURI' }));
    }
  });
});
