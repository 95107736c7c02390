import type { MessageQueue } from './sqs-source.ts';

/** The longest SQS offers: an idle queue costs three calls a minute. */
const waitSeconds = 20;
/** As many as SQS hands out at once. */
const maxMessages = 10;

/** SQS by the SDK's default credentials; the region is the queue url's own where it names one. */
export async function openSqsQueue(queueUrl: string, region: string): Promise<MessageQueue & { close(): void }> {
  // loaded where it is used: without a queue nobody pays for it
  const { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } = await import('@aws-sdk/client-sqs');
  const client = new SQSClient({ region: /^https:\/\/sqs\.([a-z0-9-]+)\./.exec(queueUrl)?.[1] ?? region });
  return {
    receive: async (signal) => {
      const command = new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: maxMessages,
        WaitTimeSeconds: waitSeconds,
      });
      const { Messages = [] } = await client.send(command, { abortSignal: signal });
      return Messages.map(({ MessageId = '', Body = '', ReceiptHandle = '' }) => ({
        id: MessageId,
        body: Body,
        receipt: ReceiptHandle,
      }));
    },
    delete: async (receipts) => {
      const Entries = receipts.map((receipt, index) => ({ Id: String(index), ReceiptHandle: receipt }));
      const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
      return Failed.flatMap(({ Id }) => receipts[Number(Id)] ?? []);
    },
    close: () => client.destroy(),
  };
}
