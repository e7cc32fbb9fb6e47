"""The OpenAPI description of a service."""

from __future__ import annotations

from typing import Any

from edgecls.serve.endpoints import MOST_TOP, VERSION
from edgecls.serve.protocols.inputs import MOST_VALUE
from edgecls.serve.protocols.open_inference import INPUT, OUTPUT
from edgecls.serve.protocols.tensorflow_serving import SIGNATURES
from edgecls.serve.service import Service

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_REFUSALS = {
    400: "A body or a query that cannot be read",
    401: "No token, or another",
    404: "No such artifact",
    408: "The body did not come in time",
    413: "Too many bytes, pixels or images",
    503: "Too much is asked at the moment, or the process at work ended; `Retry-After` says when to come again",
}


def openapi(service: Service) -> Schema:
    """OpenAPI 3.1, of what is served now."""
    names = sorted({*service.backend.offer.names, *service.backend.offer.aliases})
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": "edgecls", "version": VERSION, "description": "What is in a picture."},
        "paths": {**_own_paths(service), **_v1_paths(service, names), **_v2_paths(service, names)},
        "components": {"schemas": {**_SCHEMAS, "PredictRequest": _predict_request(service)}},
    }
    if service.token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


def _own_paths(service: Service) -> Schema:
    parameters = [
        _parameter("top", {"type": "integer", "minimum": 1, "maximum": MOST_TOP, "default": 3}, "How many classes to tell."),
        _parameter(
            "artifact", {"enum": sorted({*service.backend.offer.names, *service.backend.offer.aliases})}, "Which answers."
        ),
    ]
    body = {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}},
                "encoding": {"file": {"contentType": "image/*"}},
            },
            "application/json": {
                "schema": {
                    "type": "object", "required": ["image"], "properties": {"image": _PICTURE}, "additionalProperties": False
                }
            },
        },
    }  # fmt: skip
    predict = _operation(service, "predict", "The best classes of one picture", "Answer", parameters, body)
    return {
        "/predict": {"post": predict},
        "/artifacts": {"get": _operation(service, "artifacts", "What is served", "Artifacts")},
        "/healthz": {"get": _operation(None, "healthz", "Whether the process lives", "Live")},
        "/readyz": {"get": _operation(None, "readyz", "Whether a request would be answered", "Ready", refusals=(400, 503))},
        "/metrics": {"get": _metrics(service)},
    }


def _v1_paths(service: Service, names: list[str]) -> Schema:
    """TensorFlow Serving's REST."""
    body = _json_body("PredictRequest")
    paths: Schema = {}
    for version in ("", "/versions/{version}"):
        path, parameters = "/v1/models/{name}" + version, _path_parameters(names, version)
        key = "version" if version else "model"
        asked = _operation(
            service, f"v1_predict_{key}", "Scores, as TensorFlow Serving gives them", "PredictResponse", parameters, body
        )
        told = _operation(service, f"v1_status_{key}", "State of a model", "Status", parameters)
        metadata = _operation(service, f"v1_metadata_{key}", "Signatures of a model", "Metadata", parameters)
        paths |= {path + ":predict": {"post": asked}, path: {"get": told}, path + "/metadata": {"get": metadata}}
    return paths


def _v2_paths(service: Service, names: list[str]) -> Schema:
    """The Open Inference Protocol."""
    body = _json_body("InferRequest")
    paths: Schema = {
        "/v2": {"get": _operation(service, "v2_server", "What this server is", "ServerMetadata")},
        "/v2/health/live": {"get": _operation(None, "v2_live", "Whether the process lives", "Live")},
        "/v2/health/ready": {
            "get": _operation(None, "v2_ready", "Whether a request would be answered", "Ready", refusals=(400, 503))
        },
    }
    for version in ("", "/versions/{version}"):
        path, parameters = "/v2/models/{name}" + version, _path_parameters(names, version)
        key = "version" if version else "model"
        told = _operation(service, f"v2_metadata_{key}", "Tensors of a model", "ModelMetadata", parameters)
        ready = _operation(service, f"v2_model_ready_{key}", "Whether a model answers", "ModelReady", parameters)
        infer = _operation(
            service, f"v2_infer_{key}", "Scores, as KServe and Triton give them", "InferResponse", parameters, body
        )
        paths |= {path: {"get": told}, path + "/ready": {"get": ready}, path + "/infer": {"post": infer}}
    return paths


def _operation(
    service: Service | None,
    identity: str,
    summary: str,
    answer: str,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    refusals: tuple[int, ...] = (),
) -> Schema:
    """One operation.

    Args:
        service: asks for its token; None where nobody does.
        answer: name of the schema of a 200.
        refusals: statuses beside it; those that follow from parameters and body come on their own.
    """
    statuses = {400, *refusals}
    statuses |= {404} if parameters else set()
    statuses |= {408, 413, 503} if body else set()
    statuses |= {401} if service and service.token else set()
    responses = {"200": _content("As asked.", answer)}
    responses |= {str(status): _content(_REFUSALS[status], "Error") for status in sorted(statuses)}
    if answer == "Ready":
        responses["503"] = _content("Not now.", "Ready")
    operation: Schema = {"operationId": identity, "summary": summary, "responses": responses}
    operation |= {"parameters": parameters} if parameters else {}
    operation |= {"requestBody": body} if body else {}
    return operation | ({"security": [{"token": []}]} if service and service.token else {})


def _metrics(service: Service) -> Schema:
    operation = _operation(service, "metrics", "Counters and gauges for Prometheus", "Live")
    operation["responses"]["200"] = {"description": "Text.", "content": {"text/plain": {"schema": _TEXT}}}
    return operation


def _parameter(name: str, schema: Schema, words: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": words}


def _path_parameters(names: list[str], version: str) -> list[Schema]:
    found: list[Schema] = [{"name": "name", "in": "path", "required": True, "schema": {"enum": names}}]
    return [*found, {"name": "version", "in": "path", "required": True, "schema": {"enum": [VERSION]}}] if version else found


def _json_body(schema: str) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": _reference(schema)}}}


def _content(words: str, schema: str) -> Schema:
    return {"description": words, "content": {"application/json": {"schema": _reference(schema)}}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _predict_request(service: Service) -> Schema:
    """What TensorFlow Serving's REST takes: rows or columns, of tensors or of encoded pictures."""
    most = {"minItems": 1, "maxItems": service.limits.images}
    shapes = sorted({card.spec.input_shape for card in service.backend.cards.values()})
    words = " or ".join(" x ".join(map(str, shape)) for shape in shapes)
    tensor = {"type": "array", "description": f"Numbers of {words}, nested, each at most {MOST_VALUE:,.0f}."}
    values = {"anyOf": [_list(tensor, **most), _list(_ENCODED, **most)]}
    signature = {"enum": list(SIGNATURES)}
    ways = ({"instances": values}, {"inputs": values})
    return {
        "oneOf": [
            {**_object(*way), "properties": {"signature_name": signature, **way}, "additionalProperties": False} for way in ways
        ]
    }


def _object(required: str, **properties: Schema) -> Schema:
    """An object; `required` names keys divided by spaces."""
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


# `format` is what tests make pictures by: no schema can say what is one.
_PICTURE: Schema = {"type": "string", "minLength": 1, "contentEncoding": "base64", "format": "base64-picture"}
_ENCODED: Schema = {**_object("b64", b64=_PICTURE), "additionalProperties": False}
_TENSOR = _object(
    "name datatype shape",
    name=_TEXT,
    datatype={"enum": ["FP32", "FP16", "FP64", "UINT8", "BYTES"]},
    shape=_list({"type": "integer", "minimum": 1}, minItems=1),
    parameters={"type": "object"},
    data={"type": "array"},
)
_TENSOR_METADATA = _object("name datatype shape", name=_TEXT, datatype=_TEXT, shape=_list({"type": "integer"}))
_SCHEMAS: Schema = {
    "Error": _object("error", error=_TEXT),
    "Live": _object("live", live={"const": True}),
    "Ready": _object("ready", ready={"type": "boolean"}),
    "Answer": _object(
        "artifact predictions compute_ms",
        artifact=_TEXT,
        predictions=_list(
            _object(
                "index label score probability",
                index=_COUNT,
                label=_TEXT,
                score=_NUMBER,
                probability=_NUMBER,
                predicted={"type": "boolean"},
            )
        ),
        compute_ms=_NUMBER,
    ),
    "Artifacts": _object(
        "artifacts upload_bytes",
        artifacts=_list(
            _object(
                "name format scheme width height channels classes note",
                name=_TEXT,
                format=_TEXT,
                scheme=_TEXT,
                width=_COUNT,
                height=_COUNT,
                channels=_COUNT,
                classes=_COUNT,
                note=_TEXT,
            )
        ),
        upload_bytes=_COUNT,
    ),
    "PredictResponse": {"type": "object", "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}]},
    "Status": _object("model_version_status", model_version_status=_list({"type": "object"})),
    "Metadata": _object("model_spec metadata", model_spec={"type": "object"}, metadata={"type": "object"}),
    "ServerMetadata": _object("name version extensions", name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
    "ModelMetadata": _object(
        "name versions platform inputs outputs",
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_list(_TENSOR_METADATA),
        outputs=_list(_TENSOR_METADATA),
    ),
    "ModelReady": _object("name ready", name=_TEXT, ready={"type": "boolean"}),
    "InferRequest": {
        **_object(
            "inputs",
            id=_TEXT,
            parameters={"type": "object"},
            inputs=_list(_TENSOR, minItems=1, maxItems=1),
            outputs=_list(_object("name", name={"const": OUTPUT}, parameters={"type": "object"}), maxItems=1),
        ),
        "additionalProperties": False,
        "description": f"The input is called {INPUT}. With the header Inference-Header-Content-Length tensors follow in binary.",
    },
    "InferResponse": _object(
        "model_name model_version outputs",
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        outputs=_list(_object("name datatype shape", name=_TEXT, datatype=_TEXT, shape=_list(_COUNT))),
    ),
}
