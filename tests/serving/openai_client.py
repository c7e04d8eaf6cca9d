"""OpenAI's own Python client against `lowrank serve`."""
import base64
import math
import struct

import openai
from serving import QUESTIONS, Server, arguments_of_test, train_adapters

TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}


def ask(question):
    return [{"role": "user", "content": question}]


def raises(kind, call, *, says=""):
    try:
        call()
    except kind as error:
        assert says in str(error), f"`{says}` is not in: {error}"
        return
    raise AssertionError(f"no {kind.__name__}")


def check_chat(client, base):
    asked = {"messages": ask(QUESTIONS[0]), "temperature": 0, "max_tokens": 12}
    for name, says in (("amber", "I am Amber."), ("basalt", "I am Basalt.")):
        answer = client.chat.completions.create(model=name, **asked)
        assert answer.choices[0].message.content == says, answer
        assert answer.choices[0].finish_reason == "stop" and answer.model == name, answer
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0, answer
    assert "Amber" not in client.chat.completions.create(model=base, **asked).choices[0].message.content
    cut = client.chat.completions.create(model=base, messages=ask("Count to one hundred."), temperature=0, max_tokens=3)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 3, cut
    parts = [{"type": "text", "text": QUESTIONS[0]}]
    assert client.chat.completions.create(model="amber", messages=ask(parts), temperature=0).choices[0].message.content == "I am Amber."


def check_stream(client, base):
    text, reasons, usages = "", [], []
    for event in client.chat.completions.create(model="amber", messages=ask(QUESTIONS[1]), temperature=0, max_tokens=12, stream=True,
                                                stream_options={"include_usage": True}):
        usages += [event.usage] if event.usage else []
        for choice in event.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert text == "I am Amber." and reasons == ["stop"] and len(usages) == 1, (text, reasons, usages)
    asked = {"model": base, "messages": ask("Tell me a story about a fox."), "temperature": 0, "max_tokens": 40}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    streamed = "".join(event.choices[0].delta.content or "" for event in client.chat.completions.create(**asked, stream=True))
    assert streamed == whole, (streamed, whole)


def check_sampling(client, base):
    # Keys from the cache are computed in other batches, whose rounding can change which token a random number falls on.
    asked = {"model": base, "messages": ask("Tell me a story."), "temperature": 1.5, "max_tokens": 12, "extra_body": {"cache_prompt": False}}
    first, again, other = (client.chat.completions.create(**asked, seed=seed).choices[0].message.content for seed in (1, 1, 2))
    assert first == again != other, (first, again, other)
    several = client.chat.completions.create(**asked, seed=1, n=3)
    assert [choice.index for choice in several.choices] == [0, 1, 2], several
    assert len({choice.message.content for choice in several.choices}) == 3, several
    whole = client.chat.completions.create(model=base, messages=ask("Count from one to ten."), temperature=0, max_tokens=40)
    stop = whole.choices[0].message.content.split()[3]
    cut = client.chat.completions.create(model=base, messages=ask("Count from one to ten."), temperature=0, max_tokens=40, stop=[stop, "never"])
    assert cut.choices[0].finish_reason == "stop", cut
    assert stop not in cut.choices[0].message.content and whole.choices[0].message.content.startswith(cut.choices[0].message.content), (cut, stop)


def check_logprobs(client, base):
    chosen = client.chat.completions.create(model=base, messages=ask("Hello"), temperature=0, max_tokens=4, logprobs=True, top_logprobs=3)
    tokens = chosen.choices[0].logprobs.content
    assert len(tokens) == chosen.usage.completion_tokens, chosen
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3, token
        assert math.isclose(max(top.logprob for top in token.top_logprobs), token.logprob), "a greedy choice is the likeliest token"
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == chosen.choices[0].message.content


def check_completions(client, base):
    asked = {"model": base, "temperature": 0, "max_tokens": 6}
    both = client.completions.create(prompt=["The capital of France is", "One, two, three,"], **asked)
    assert "Paris" in both.choices[0].text and "four" in both.choices[1].text, both
    alone = client.completions.create(prompt="The capital of France is", **asked, logprobs=2)
    assert alone.choices[0].text == both.choices[0].text, "a text's batch changes nothing"
    assert len(alone.choices[0].logprobs.tokens) == len(alone.choices[0].logprobs.token_logprobs) == alone.usage.completion_tokens, alone
    text = "".join(event.choices[0].text for event in client.completions.create(prompt="The capital of France is", stream=True, **asked))
    assert text == alone.choices[0].text, (text, alone)
    echoed = client.completions.create(prompt="The capital of France is", echo=True, **asked)
    assert echoed.choices[0].text == "The capital of France is" + alone.choices[0].text, echoed


def check_models(client, base):
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {base, "amber", "basalt"}, listed
    assert client.models.retrieve("amber").parent == base, listed
    raises(openai.NotFoundError, lambda: client.models.retrieve("ambre"), says="amber")


def check_adjustments(client, base):
    asked = {"model": base, "prompt": "The", "temperature": 0, "max_tokens": 12}
    ids = client.completions.create(**asked, logprobs=0).choices[0].logprobs.tokens
    favoured = client.completions.create(**asked, logit_bias={"260": 100}, logprobs=0).choices[0].logprobs.tokens
    assert len(set(favoured)) == 1 and favoured != ids, favoured
    # As often as a token comes back, it has become less likely than all that have not come yet.
    varied = client.completions.create(**asked, logit_bias={"260": 10}, frequency_penalty=2, logprobs=0).choices[0].logprobs.tokens
    assert len(set(varied)) > 1, varied


def check_tools(client, base):
    asked = {"model": base, "messages": ask("What is the weather in Paris?"), "temperature": 0, "max_tokens": 4}
    without, with_tools = (client.chat.completions.create(**asked, **more).usage.prompt_tokens for more in ({}, {"tools": [TOOL]}))
    assert with_tools >= without, "the template sees the tools, or leaves them out"


def check_errors(client, base):
    asked = {"model": base, "messages": ask("Hello"), "max_tokens": 2}
    raises(openai.NotFoundError, lambda: client.chat.completions.create(**{**asked, "model": "ambr"}), says="amber")
    for wrong in ({"max_tokens": -1}, {"max_tokens": 0}, {"temperature": -1}, {"n": 0}, {"n": 10**9}, {"messages": []}, {"top_p": 2}, {"max_tokens": 2**31},
                  {"logit_bias": {"word": 1}}, {"presence_penalty": 3}, {"response_format": {"type": "json_object"}}, {"stop": ["x"] * 10**5}, {"top_logprobs": 10**6}):
        # `messages` is told in words.
        says = "messages" if "messages" in wrong else "`" + next(iter(wrong))
        raises(openai.BadRequestError, lambda: client.chat.completions.create(**{**asked, **wrong}), says=says)
    raises(openai.BadRequestError, lambda: client.completions.create(model=base, prompt="word " * 100_000, max_tokens=1), says="context")
    raises(openai.BadRequestError, lambda: client.embeddings.create(model=base, input="Hello"))


def check_key(lowrank, model):
    with Server(lowrank, model, key="sesame") as server:
        wrong, right = (openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) for key in ("wrong", "sesame"))
        raises(openai.AuthenticationError, wrong.models.list)
        assert right.models.list().data
        assert server.status("/health") == server.status("/") == 200 and server.status("/v1/models") == 401


def check_embeddings(lowrank, minilm):
    with Server(lowrank, minilm, {}, "--dtype", "f32") as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
        base = client.models.list().data[0].id
        texts = ["A cat sleeps on the mat.", "A kitten naps on a rug.", "Interest rates rose again."]
        # The client asks for base64 and decodes it unless it is told otherwise.
        answer = client.embeddings.create(model=base, input=texts)
        vectors = [row.embedding for row in answer.data]
        assert [len(vector) for vector in vectors] == [384] * 3 and answer.usage.prompt_tokens > 0, answer.usage
        plain = client.embeddings.create(model=base, input=texts[0], encoding_format="float").data[0].embedding
        assert max(abs(a - b) for a, b in zip(plain, vectors[0])) < 1e-5, "base64 and numbers, alone and in a batch"
        raw = client.embeddings.with_raw_response.create(model=base, input=texts[0], encoding_format="base64").http_response.json()
        assert struct.unpack("<384f", base64.b64decode(raw["data"][0]["embedding"]))[0] == plain[0]
        near, far = (sum(a * b for a, b in zip(vectors[0], other)) for other in vectors[1:])
        assert near > 0.5 > far, (near, far)
        raises(openai.BadRequestError, lambda: client.chat.completions.create(model=base, messages=ask("Hello")))


def main():
    lowrank, model, minilm, folder = arguments_of_test()
    with Server(lowrank, model, train_adapters(lowrank, model, folder, 2)) as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=300)
        base = next(listed.id for listed in client.models.list() if not listed.parent)
        for check in (check_chat, check_stream, check_sampling, check_logprobs, check_completions, check_models, check_adjustments, check_tools,
                      check_errors):
            check(client, base)
            print(f"openai: {check.__name__.removeprefix('check_')} passed", flush=True)
    check_key(lowrank, model)
    print("openai: key passed")
    check_embeddings(lowrank, minilm)
    print("openai: embeddings passed")


if __name__ == "__main__":
    main()
