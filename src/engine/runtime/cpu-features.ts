import { readFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';

/** Instruction sets that the runtime chooses kernels by; without /proc the CPU's name must do. */
export function cpuFeatures(): string {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
    const known = flags.split(/\s+/).filter((flag) => /^(?:avx|fma|f16c|amx|sse4|asimd|sve|i8mm|bf16)/.test(flag));
    if (known.length > 0) return `${arch()} ${[...new Set(known)].sort().join(' ')}`;
  } catch {
    // not Linux
  }
  return `${arch()} ${cpus()[0]?.model ?? 'unknown'}`;
}

/**
 * Sums INT8 products in 32 bits. Older x86 CPUs sum pairs of them in 16 bits first, which overflow; ARM was not tried.
 */
export function hasExactInt8(features: string = cpuFeatures()): boolean {
  return /\b(?:avx512_vnni|avx_vnni)\b/.test(features);
}
