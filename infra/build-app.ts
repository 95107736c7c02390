import { App, type AppProps } from 'aws-cdk-lib';
import { DataStack } from './stacks/data-stack.ts';

/** Every stack of one installation. Account and region come from the CDK command's profile. */
export function buildApp(props?: AppProps): App {
  const app = new App(props);
  new DataStack(app, 'quire-data', { description: 'quire: the bucket that holds files, batches and results' });
  return app;
}
