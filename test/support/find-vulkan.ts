import { existsSync } from 'node:fs';

/** Where Debian's chromium-common has SwiftShader, a Vulkan driver that computes on the CPU. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

/**
 * Names a Vulkan driver to this process and says which, or says why there is none. Before the first session: the loader
 * looks once.
 */
export function nameVulkanDriver(): { readonly driver: string } | { readonly missing: string } {
  const named = process.env['VK_ICD_FILENAMES'] ?? process.env['VK_DRIVER_FILES'] ?? '';
  if (named !== '') return { driver: named };
  if (!existsSync(swiftShader)) return { missing: `VK_ICD_FILENAMES is not set and ${swiftShader} is not there` };
  process.env['VK_ICD_FILENAMES'] = swiftShader;
  return { driver: swiftShader };
}
