"""Where requests for a bucket go: the endpoint and region rules of AWS, or the address of `S3_ENDPOINT`."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

import botocore.session
from botocore.endpoint_provider import EndpointProvider, RuleSetEndpoint
from botocore.exceptions import BotoCoreError

from s3d._core.forward import Target
from s3d._core.sigv4 import Credentials, Signer

_MAX_BUCKETS = 10_000
"""Buckets whose target or region is remembered; past it the one remembered longest is looked up again."""
_MAX_SIGNERS = 100


_REGION = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
"""What may stand in a credential scope and a host name; the remote's word for it is not taken for more."""


class Origin(NamedTuple):
    """A server to connect to; connections are pooled by it."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class EndpointError(Exception):
    """No endpoint can be made for a bucket; the message says why."""


class Endpoints:
    """Resolves a bucket to its `Target` and remembers it.

    ``url`` is a fixed endpoint, or None for AWS by botocore's own rule set. Regions that the remote names later
    (`learn_region`) win over ``region``. One event loop's thread only; does no I/O after the rule set is loaded.
    """

    def __init__(
        self,
        session: botocore.session.Session,
        url: str | None,
        region: str,
        addressing: Literal["auto", "path", "virtual"] = "auto",
    ) -> None:
        self.url = url
        self.region = region
        self._addressing = addressing
        self._session = session
        self._provider: EndpointProvider | None = None
        self._regions: OrderedDict[str, str] = OrderedDict()
        self._targets: OrderedDict[str, Target] = OrderedDict()
        self._signers: dict[tuple[str, str], Signer] = {}
        self._credentials: Credentials | None = None

    def known(self, bucket: str) -> Target | None:
        """The target of ``bucket`` if it is at hand, with a current signer; for the hot path."""
        return self._targets.get(bucket)

    def use(self, credentials: Credentials | None) -> None:
        """Sign with ``credentials`` from now on; None forgets every signer."""
        if credentials is self._credentials:
            return
        self._credentials = credentials
        self._signers.clear()
        self._targets.clear()

    def target(self, bucket: str) -> Target:
        """The target of ``bucket`` ("" for the service). Raises `EndpointError`; needs credentials to be in use."""
        known = self._targets.get(bucket)
        if known is not None:
            return known
        if self._credentials is None:
            raise EndpointError("there are no credentials to sign with")
        region = self._regions.get(bucket, self.region)
        if self.url is not None:
            target = self._fixed(self.url, bucket, region)
        else:
            target = self._by_rules(bucket, region)
        self._targets[bucket] = target
        if len(self._targets) > _MAX_BUCKETS:
            self._targets.popitem(last=False)
        return target

    def learn_region(self, bucket: str, region: str) -> bool:
        """The remote says that ``bucket`` lives in ``region``; returns whether that can be a region's name."""
        if not _REGION.fullmatch(region):
            return False
        if self._regions.get(bucket, self.region) == region:
            return True
        self._regions[bucket] = region
        self._regions.move_to_end(bucket)
        if len(self._regions) > _MAX_BUCKETS:
            self._regions.popitem(last=False)
        self._targets.pop(bucket, None)
        return True

    def forget(self, bucket: str) -> None:
        """The bucket is gone: what was learnt about it does not hold for one created later under its name."""
        self._regions.pop(bucket, None)
        self._targets.pop(bucket, None)

    def _signer(self, region: str, service: str) -> Signer:
        signer = self._signers.get((region, service))
        if signer is None:
            assert self._credentials is not None
            signer = Signer(self._credentials, region.encode(), service.encode())
            if len(self._signers) >= _MAX_SIGNERS:
                self._signers.clear()  # targets keep theirs
            self._signers[region, service] = signer
        return signer

    def service(self) -> tuple[Origin, bytes]:
        """The address of the service itself and its Host header, whether or not there are credentials."""
        target = self._parse(self.url or self._resolve("", self.region).url, "", None, False)
        return target.origin, target.host

    def _fixed(self, url: str, bucket: str, region: str) -> Target:
        virtual = self._addressing == "virtual" and bucket != ""
        return self._parse(url, bucket if virtual else "", self._signer(region, "s3"), virtual)

    def _by_rules(self, bucket: str, region: str) -> Target:
        endpoint = self._resolve(bucket, region)
        scheme: dict[str, Any] = next(iter(endpoint.properties.get("authSchemes", [])), {})
        if scheme.get("name") == "sigv4a":
            raise EndpointError(f"{bucket} needs Signature Version 4A, which s3d does not make")
        signer = self._signer(scheme.get("signingRegion", region), scheme.get("signingName", "s3"))
        if bucket and urlsplit(endpoint.url).path.rstrip("/").endswith("/" + quote(bucket, safe="")):
            return self._parse(endpoint.url.rstrip("/").rpartition("/")[0], "", signer, False)
        return self._parse(endpoint.url, "", signer, bucket != "")

    def _resolve(self, bucket: str, region: str) -> RuleSetEndpoint:
        parameters: dict[str, Any] = {
            "Region": region,
            "UseFIPS": bool(self._session.get_config_variable("use_fips_endpoint")),
            "UseDualStack": bool(self._session.get_config_variable("use_dualstack_endpoint")),
            "ForcePathStyle": self._addressing == "path",
            "Accelerate": False,
            "UseGlobalEndpoint": False,
            "DisableMultiRegionAccessPoints": False,
            "UseArnRegion": True,
            # IAM credentials sign requests to directory buckets as well; sessions would be a cache of their own.
            "DisableS3ExpressSessionAuth": True,
        }
        if bucket:
            parameters["Bucket"] = bucket
        try:
            return self._rules().resolve_endpoint(**parameters)
        except BotoCoreError as error:
            raise EndpointError(str(error)) from error

    def _rules(self) -> EndpointProvider:
        if self._provider is None:
            loader = self._session.get_component("data_loader")
            self._provider = EndpointProvider(
                loader.load_service_model("s3", "endpoint-rule-set-1"), loader.load_data("partitions")
            )
        return self._provider

    @staticmethod
    def _parse(url: str, prefix: str, signer: Signer | None, in_host: bool) -> Target:
        """The target at ``url``, with ``prefix`` before its host."""
        parts = urlsplit(url)
        host = f"{prefix}.{parts.hostname}" if prefix else parts.hostname or ""
        default = 443 if parts.scheme == "https" else 80
        port = parts.port or default
        shown = f"[{host}]" if ":" in host else host
        if port != default:
            shown = f"{shown}:{port}"
        return Target(
            shown.encode(), Origin(parts.scheme, host, port), signer, base=parts.path.rstrip("/").encode(),
            bucket_in_host=in_host,
        )  # fmt: skip
