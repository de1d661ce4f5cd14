"""N GETs by aiohttp, AT_ONCE at a time. Prints the figures that http_work.lua prints.
   aiohttp_get.py URL N AT_ONCE; with no arguments it says which it is."""
import asyncio
import resource
import sys
import time

import aiohttp


async def run(url, n, at_once):
    left, size = n, 0

    async def worker(session):
        nonlocal left, size
        while left > 0:
            left -= 1
            async with session.get(url) as response:
                assert response.status == 200
                size += len(await response.read())

    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector) as session:
        before = time.monotonic()
        await asyncio.gather(*(worker(session) for _ in range(at_once)))
        return time.monotonic() - before, size


if len(sys.argv) < 4:
    print("aiohttp", aiohttp.__version__)
    sys.exit(0)
count = int(sys.argv[2])
seconds, size = asyncio.run(run(sys.argv[1], count, int(sys.argv[3])))
used = resource.getrusage(resource.RUSAGE_SELF)
print("cpu", (used.ru_utime + used.ru_stime) / count * 1e6)
print("rate", count / seconds)
print("bytes", size)
