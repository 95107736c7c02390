import { cpuOperators } from './cpu-operators.ts';
import { gpuOperators } from './gpu-operators.ts';
import type { Provider, ProviderOperators } from './provider-operators.ts';

export function operatorsOf(provider: Provider): ProviderOperators {
  return provider === 'cpu' ? cpuOperators : gpuOperators;
}
