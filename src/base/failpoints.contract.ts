/**
 * Every place where a process can be made to fail on purpose: one for each gap between two actions that last, where a
 * crash leaves the first done and the second not. A test checks that each name is used exactly once.
 */
export const failpoints = {
  // api
  'upload.before-record': 'the bytes of a file are stored, its record is not',
  'create.before-record': 'hints of a batch are stored, the batch is not',
  'create.before-hint': 'a batch is stored, nobody is told and the caller has no answer',
  'cancel.before-hint': 'a batch is cancelling, no worker is told',
  // janitor
  'validate.before-index': 'the checked lines are stored, their index is not',
  'validate.before-plan': 'lines and index are stored, the plan is not',
  'batch.before-move': 'the work of a state is done, the batch has not moved on',
  'dispatch.before-job': 'a batch is in progress, a unit of it has no job',
  'settle.before-seal': 'a batch is to end early, its units are open',
  'finalize.before-record': 'a result file is stored, its record is not',
  'finalize.before-manifest': 'result files are stored, the manifest is not',
  'close.before-marker': 'a batch is final, its marker of being open is still there',
  // worker
  'unit.after-claim': 'a unit is claimed, no line of it runs',
  'segment.before-write': 'lines are answered, no segment holds them',
  'segment.before-news': 'a segment is written, nobody is told',
  'checkpoint.before-segment': 'a checkpoint is stored, no entry of the log names it',
  'checkpoint.before-prune': 'a newer checkpoint is named, the one before it is still there',
  'unit.before-seal': 'the last result is written, the unit is open',
  'unit.before-job-end': 'a unit is sealed, its job is still in the queue',
  // storage, whoever writes
  'upload.before-complete': 'the parts of a long object are sent, the object is not there',
  // intake
  'drop.before-input': 'documents of a drop are copied, its input file is not',
  'drop.before-batch': 'the input of a drop is stored, its batch is not',
} as const;

export type FailpointName = keyof typeof failpoints;
