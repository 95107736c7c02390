// An engine process without an engine: what each request asks for stands in its tenant.
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

process.on('message', ({ type, request }) => {
  if (type !== 'generate-start') return;
  const { id, tenant, messages } = request;
  const [action, what] = tenant.split('-');
  if (action === 'answer') {
    const promptTokens = messages?.[0]?.content.length ?? 0;
    process.send({ type: 'generate-end', id, result: { content: 'answer', promptTokens } });
  }
  if (action === 'exit') process.exit(Number(what));
  if (action === 'run') {
    process.send({ type: 'generate-checkpoint', id, checkpoint: { tokenIds: [1, 2, 3] } });
    process.send({ type: 'run-start', ids: [id] });
    process.kill(process.pid, what);
    // the signal ends the process here, as a fault in the runtime would
    for (;;);
  }
});

process.send({ type: 'engine-ready', card: { id: 'scripted' }, loadMs: 1 });
