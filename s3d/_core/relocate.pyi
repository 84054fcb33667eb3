from s3d._core.stage import Stage

class Relocation(Stage):
    def __init__(self, source: Stage, location: bytes) -> None: ...
