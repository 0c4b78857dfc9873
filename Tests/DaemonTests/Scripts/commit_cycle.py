"""The whole cycle of a commit, with QEMU's own Python client.

Arguments: the socket, the overlay, its backing file. Prints one line for each event.
"""

import asyncio
import sys

from qemu.qmp import EventListener, ExecuteError, QMPClient


async def main(socket, overlay, base):
    client = QMPClient("commit-cycle")
    listener = EventListener()
    client.register_listener(listener)
    await client.connect(socket)
    await client.execute("blockdev-add", {
        "driver": "qcow2", "node-name": "overlay",
        "file": {"driver": "file", "filename": overlay},
        "backing": {"driver": "qcow2", "node-name": "base",
                    "file": {"driver": "file", "filename": base}, "backing": None},
    })
    try:
        await client.execute("block-commit", {"job-id": "j", "device": "nope"})
    except ExecuteError as error:
        print("refused", error.error_class)
    await client.execute("block-commit", {
        "job-id": "j", "device": "overlay", "base-node": "base", "auto-dismiss": False,
    })
    async for event in listener:
        data = event["data"]
        print(event["event"], data.get("status", data.get("len")))
        if event["event"] == "BLOCK_JOB_READY":
            jobs = await client.execute("query-block-jobs")
            print("jobs", [(job["device"], job["ready"]) for job in jobs])
            await client.execute("job-complete", {"id": "j"})
        if data.get("status") == "concluded":
            await client.execute("job-dismiss", {"id": "j"})
        if data.get("status") == "null":
            break
    print("left", await client.execute("query-jobs"))
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
