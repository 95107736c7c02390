import { describe, expect, it } from 'vitest';
import { parseS3Event } from '../../../src/intake/s3-event.ts';

const record = (key: string): object => ({
  eventVersion: '2.1',
  eventSource: 'aws:s3',
  eventName: 'ObjectCreated:CompleteMultipartUpload',
  s3: { bucket: { name: 'quire' }, object: { key, size: 3, eTag: 'x', sequencer: '0055AED6DCD90281E5' } },
});

describe('parseS3Event', () => {
  it('decodes the keys of S3 events, which are form-encoded', () => {
    const text = JSON.stringify({ Records: [record('inbox/a+b/%C3%A4%2B1.md'), record('inbox/x.md')] });
    expect(parseS3Event(text)).toEqual(['inbox/a b/ä+1.md', 'inbox/x.md']);
  });

  it('takes the keys of EventBridge events as they are', () => {
    const detail = { bucket: { name: 'quire' }, object: { key: 'inbox/a+b/100%.md' } };
    const event = { version: '0', source: 'aws.s3', 'detail-type': 'Object Created', detail };
    expect(parseS3Event(JSON.stringify(event))).toEqual(['inbox/a+b/100%.md']);
  });

  it('looks into SNS messages', () => {
    const Message = JSON.stringify({ Records: [record('inbox/x.md')] });
    expect(parseS3Event(JSON.stringify({ Type: 'Notification', Message }))).toEqual(['inbox/x.md']);
  });

  it('finds no key in the test event', () => {
    expect(parseS3Event(JSON.stringify({ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'quire' }))).toEqual([]);
  });

  it.each([
    '',
    'hello',
    '[]',
    '{}',
    '{"Records":[{}]}',
    JSON.stringify({ Records: [record('%zz')] }),
    '{"source":"aws.s3"}',
  ])('refuses %j by name', (text) => {
    expect(() => parseS3Event(text)).toThrow(expect.objectContaining({ code: 'input.invalid-json' }));
  });
});
