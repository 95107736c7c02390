export const repairPromptVersion = 1;

/** The turn that asks for a mended answer. @param violation what the answer breaks, as the validator says it */
export function buildRepairTurn(violation: string): string {
  return `Your JSON breaks its schema: ${violation}\nCorrect what is wrong; answer again with the JSON alone.`;
}
