"""Reads query-qmp-schema as QAPI's introspection defines it, and holds real messages against it.

Arguments: the socket, an image to open. Prints what there is to compare; an assertion ends it with
a failure.
"""

import asyncio
import sys

from qemu.qmp import QMPClient

NAME = {"name": str}
# The members of each kind of entity; those of OPTIONAL may be absent.
KINDS = {
    "builtin": {"json-type": str},
    "enum": {"members": [NAME], "values": [str]},
    "array": {"element-type": str},
    "object": {"members": [{"name": str, "type": str, "default": type(None)}],
               "tag": str, "variants": [{"case": str, "type": str}]},
    "alternate": {"members": [{"type": str}]},
    "command": {"arg-type": str, "ret-type": str, "allow-oob": bool,
                "features": [str]},
    "event": {"arg-type": str},
}
OPTIONAL = {"default", "tag", "variants", "allow-oob", "features"}
BUILTIN = {"str": ("string", str), "int": ("int", int), "bool": ("boolean", bool),
           "null": ("null", type(None)), "any": ("value", object)}


def has_form(value, form):
    if isinstance(form, list):
        return isinstance(value, list) and all(has_form(one, form[0]) for one in value)
    if isinstance(form, dict):
        return (set(value) <= set(form) and set(form) - set(value) <= OPTIONAL
                and all(has_form(value[name], form[name]) for name in value))
    return isinstance(value, form)


class Schema:
    def __init__(self, entities):
        self.by_name = {entity["name"]: entity for entity in entities}
        assert len(self.by_name) == len(entities), "a name stands twice"
        for entity in entities:
            form = {"name": str, "meta-type": str, **KINDS[entity["meta-type"]]}
            assert has_form(entity, form), entity
        used = {name for entity in entities for name in self.references(entity)}
        assert used == {name for name in self.by_name if not self.is_root(name)}, used
        for entity in entities:
            self.check(entity)

    def is_root(self, name):
        return self.by_name[name]["meta-type"] in ("command", "event")

    def roots(self, kind):
        return [name for name, entity in self.by_name.items() if entity["meta-type"] == kind]

    @staticmethod
    def references(entity):
        for key in ("arg-type", "ret-type", "element-type"):
            if key in entity:
                yield entity[key]
        if entity["meta-type"] in ("object", "alternate"):
            for one in entity["members"] + entity.get("variants", []):
                yield one["type"]

    def check(self, entity):
        kind, name = entity["meta-type"], entity["name"]
        if "arg-type" in entity:
            assert self.by_name[entity["arg-type"]]["meta-type"] == "object", entity
        if kind == "builtin":
            assert BUILTIN[name][0] == entity["json-type"], entity
        elif kind == "enum":
            assert [word["name"] for word in entity["members"]] == entity["values"], entity
        elif kind == "array":
            assert name == "[" + entity["element-type"] + "]", entity
        elif kind == "object":
            assert ("tag" in entity) == ("variants" in entity), entity
            if "tag" in entity:
                tags = [one for one in entity["members"] if one["name"] == entity["tag"]]
                words = self.by_name[tags[0]["type"]]["values"]
                assert words == [variant["case"] for variant in entity["variants"]], entity

    def members(self, entity, value):
        found = {one["name"]: one for one in entity["members"]}
        for variant in entity.get("variants", []):
            if value.get(entity["tag"]) == variant["case"]:
                found.update(self.members(self.by_name[variant["type"]], value))
        return found

    def accepts(self, value, name):
        entity = self.by_name[name]
        kind = entity["meta-type"]
        if kind == "builtin":
            is_bool = isinstance(value, bool)
            return isinstance(value, BUILTIN[name][1]) and (name != "int" or not is_bool)
        if kind == "enum":
            return value in entity["values"]
        if kind == "array":
            return isinstance(value, list) and all(
                self.accepts(one, entity["element-type"]) for one in value)
        if kind == "alternate":
            return any(self.accepts(value, one["type"]) for one in entity["members"])
        if not isinstance(value, dict):
            return False
        members = self.members(entity, value)
        required = {name for name, one in members.items() if "default" not in one}
        return required <= set(value) <= set(members) and all(
            self.accepts(value[name], members[name]["type"]) for name in value)


async def main(socket, image):
    client = QMPClient("schema")
    await client.connect(socket)
    schema = Schema(await client.execute("query-qmp-schema"))
    commands = [one["name"] for one in await client.execute("query-commands")]
    print("same commands", schema.roots("command") == commands)
    print("events", *schema.roots("event"))

    node = {"driver": "qcow2", "node-name": "n", "read-only": True, "backing": None,
            "file": {"driver": "file", "filename": image}}
    add = schema.by_name["blockdev-add"]["arg-type"]
    wrong = [{"driver": "zz"}, {"driver": "qcow2"}, {**node, "file": 1}, {**node, "zz": 1},
             {**node, "read-only": 1}, {**node, "encrypt": {}}]
    print("arguments", schema.accepts(node, add), *[schema.accepts(one, add) for one in wrong])
    await client.execute("blockdev-add", node)
    jobs = {"job-id": "j", "node": "n", "auto-dismiss": False}
    assert schema.accepts(jobs, schema.by_name["block-check"]["arg-type"])
    await client.execute("block-check", jobs)
    await client.execute("job-wait", {"id": "j"})
    for name in commands:
        if name.startswith(("query-", "x-query-")):
            reply = await client.execute(name)
            assert schema.accepts(reply, schema.by_name[name]["ret-type"]), name
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
