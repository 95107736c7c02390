/**
 * An embedded S3 server in a process of its own, to be killed: `embedded-s3-child <folder> [<port>]`; tells its endpoint
 * on stdout, ends with its stdin.
 */
import { silentLogger } from '../../src/base/log.ts';
import { openEmbeddedS3 } from '../../src/local/s3/index.ts';
import { testBucket, testCredentials } from './embedded-store.ts';

const server = await openEmbeddedS3({
  dataDir: process.argv[2] ?? '',
  port: Number(process.argv[3] ?? 0),
  credentials: testCredentials,
  buckets: [testBucket],
  log: silentLogger,
});
process.stdin.on('end', () => process.exit()).resume();
console.log(server.endpoint);
