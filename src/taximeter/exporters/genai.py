"""What the GenAI conventions of OpenTelemetry call things of ours."""

from __future__ import annotations

from typing import Final

ATTRIBUTES: Final = {
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.response.model",
    "request_model": "gen_ai.request.model",
    "operation": "gen_ai.operation.name",
    "environment": "deployment.environment.name",
    "service": "service.name",
    "user_id": "user.id",
}
"""Dimensions that the conventions have a name for."""

PROVIDERS: Final = {
    "aws-bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "ibm-watsonx": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "x-ai": "x_ai",
}
"""Providers that are called otherwise there."""


def attribute_value(dimension: str, value: str) -> str:
    """The value of a dimension as the conventions have it."""
    return PROVIDERS.get(value, value) if dimension == "provider" else value
