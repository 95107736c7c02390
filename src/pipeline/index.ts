export type { DocumentBytes, DocumentRef, Generate, LoadDocument } from './ports.ts';
export { type LineAnswer, LineRunner, type LineRunnerDeps, type LineTask, presentLineError } from './run-line.ts';
