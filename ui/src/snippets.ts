/** What a newcomer pastes, for each road into the meter. */

import type { KeyWish } from "./api/types";

interface Snippet {
  label: string;
  scope: KeyWish["scope"];
  note: string;
  text: (address: string, key: string) => string;
}

const PROVIDER_KEY = "The provider's real key stays with the meter: in its configuration, or in its environment as ";

export const SNIPPETS = {
  openai: {
    label: "OpenAI",
    scope: "gateway",
    note: `${PROVIDER_KEY}OPENAI_API_KEY.`,
    text: (address, key) => `from openai import OpenAI

client = OpenAI(base_url="${address}/openai/v1", api_key="${key}")

client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Hello"}],
    extra_headers={"X-Taximeter-Feature": "hello", "X-Taximeter-User": "me"},
)`,
  },
  anthropic: {
    label: "Anthropic",
    scope: "gateway",
    note: `${PROVIDER_KEY}ANTHROPIC_API_KEY.`,
    text: (address, key) => `from anthropic import Anthropic

client = Anthropic(base_url="${address}/anthropic", api_key="${key}")

client.messages.create(
    model="claude-haiku-4-5",
    max_tokens=100,
    messages=[{"role": "user", "content": "Hello"}],
    extra_headers={"X-Taximeter-Feature": "hello", "X-Taximeter-User": "me"},
)`,
  },
  curl: {
    label: "curl",
    scope: "gateway",
    note: `${PROVIDER_KEY}OPENAI_API_KEY.`,
    text: (address, key) => `curl ${address}/openai/v1/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "X-Taximeter-Feature: hello" \\
  -H "X-Taximeter-User: me" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'`,
  },
  sdk: {
    label: "Python SDK",
    scope: "ingest",
    note: "Calls go straight to the provider with the key you have; only what they used is sent here.",
    text: (address, key) => `# export TAXIMETER_URL=${address}
# export TAXIMETER_KEY=${key}
import taximeter
from openai import OpenAI

client = taximeter.instrument(OpenAI())

with taximeter.attribute(user="me", feature="hello"):
    client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Hello"}],
    )`,
  },
  event: {
    label: "Any event",
    scope: "ingest",
    note: "Send an id of your own as event_id (a UUID): an event that arrives twice counts once.",
    text: (address, key) => `curl ${address}/v1/events \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '{"event_id": "'$(uuidgen)'", "started_at": "'$(date -u +%FT%TZ)'", "status": "ok",
       "provider": "openai", "request_model": "gpt-4o-mini", "feature": "hello", "user_id": "me",
       "input_tokens": 1500, "output_tokens": 450}'`,
  },
} as const satisfies Record<string, Snippet>;

export type SnippetName = keyof typeof SNIPPETS;
