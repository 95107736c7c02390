/** Sends the signal, 0 only asks; false when there is nobody to take it any more. A negative number is a group. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    // ESRCH: gone. EPERM for a group: macOS says so when only zombies are left in it
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH' || (code === 'EPERM' && pid < 0)) return false;
    throw error;
  }
}

/** Ends a child started as leader of its own group, with all it started: nothing in the group survives this. */
export function killGroup(leaderPid: number): void {
  signalProcess(-leaderPid, 'SIGKILL');
}
