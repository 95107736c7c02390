/** The turn behind a draft. Learned word by word with the bundled model; see `dialogueVersion`. */
export const reflectionTurn = 'Check each citation against its page. Correct what is wrong; answer again.';
