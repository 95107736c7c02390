import { tenantPrefix } from './keys.contract.ts';

/** Latent pages of prefixes that several requests share; a cache, so any of them may be gone at any time. */
export const pageKeys = {
  /** All pages of a tenant. */
  root: (tenant: string): string => `${tenantPrefix(tenant)}pages/`,
  /**
   * @param engineDigest of the engine that can read it
   * @param name of the page; both are lower-case hex sha256
   */
  page: (tenant: string, engineDigest: string, name: string): string =>
    `${tenantPrefix(tenant)}pages/${engineDigest}/${name.slice(0, 2)}/${name}.safetensors`,
} as const;
