"""A local server for OpenAI's and LM Studio's clients, with what specviz knows of every answer in its statistics.

errors.py     what a client is told when something is wrong
catalogue.py  the models that may be named in a request, and the draft that goes with one
loaded.py     pairs loaded on demand: idle time to live, memory budget
jobs.py       the queue, and the thread that works it off
answer.py     events -> text, token probabilities and tool calls, as they come
tools.py      tool calls in what models write
openai.py     request and response shapes of OpenAI; lmstudio.py: what LM Studio adds to them
metrics.py    what Prometheus reads
guard.py      who may ask, and how much
app.py        the endpoints; handle.py: `serve`; command.py: `specviz serve`
"""
