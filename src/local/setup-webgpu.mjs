import { existsSync } from 'node:fs';
import { findApt } from './setup-apt.mjs';
import { say } from './setup-run.mjs';

/** The same place as in `test/support/find-vulkan.ts`, which uses what this installs. */
const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';

/**
 * Makes sure of a Vulkan driver that computes on the CPU, for the tests of the webgpu provider. Only for tests, so
 * nothing fails without it: they say that they were skipped and why.
 */
export function ensureWebgpu(env) {
  if ((env.VK_ICD_FILENAMES ?? '') !== '' || (env.VK_DRIVER_FILES ?? '') !== '' || existsSync(driver)) return;
  const apt = findApt(env);
  if (apt === undefined) {
    say('no Vulkan driver found: tests of webgpu are skipped (debian: apt-get install chromium-common libvulkan1)');
    return;
  }
  say('no Vulkan driver found; installing the packages chromium-common and libvulkan1 with apt-get');
  apt(['update']);
  const { failed } = apt(['install', '--yes', '--no-install-recommends', 'chromium-common', 'libvulkan1']);
  if (failed !== null) say(`apt-get could not install them, tests of webgpu are skipped: ${failed}`);
}
