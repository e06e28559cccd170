// Reads a streamed answer with openai-node, and prints the text. Arguments: URL, API key; the request on stdin.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [url, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const stream = await client.completions.create(JSON.parse(readFileSync(0, "utf-8")));
for await (const chunk of stream) {
  process.stdout.write(chunk.choices.map((choice) => choice.text).join(""));
}
