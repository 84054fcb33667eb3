from enum import IntEnum

from typing_extensions import Buffer

class Algorithm(IntEnum):
    MD5 = 0
    SHA1 = 1
    SHA256 = 2
    SHA512 = 3
    CRC32 = 4
    CRC32C = 5
    CRC64NVME = 6
    XXHASH64 = 7
    XXHASH3 = 8
    XXHASH128 = 9

class Sha256: ...
class Digests: ...

def sha256(data: Buffer, portable: bool = ...) -> bytes: ...
def sha256_in_pieces(data: Buffer, cuts: list[int], native: bool = ...) -> bytes: ...
def digests(data: Buffer, algorithms: list[Algorithm], piece: int = ...) -> dict[Algorithm, bytes]: ...
