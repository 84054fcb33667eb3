"""ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads: their cost is the page's, not the bucket's."""

from __future__ import annotations

from contextlib import closing

from s3d._core.listing import list_entries
from s3d._core.request import Request
from s3d._core.sigv4 import SigningContext
from s3d.gateway.gateway import Answer
from s3d.gateway.local.house import House
from s3d.index.records import Listed
from s3d.index.scan import HeadScan
from s3d.s3 import list_documents, listing, queries
from s3d.s3.bodies import refuse_body_hash
from s3d.s3.elements import owner_element


class ListOperations:
    """Operations that list what is in a bucket."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._owner = owner_element(house.owner).encode()

    def list_objects(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html"""
        query, page = self._page(request, context, queries.parse_list_objects(request.params or ()))
        body = list_documents.list_objects(
            request.bucket,
            rows=self._rows(page, query),
            prefixes=page.prefixes,
            prefix=query.prefix,
            marker=query.marker,
            next_marker=page.last if page.truncated and query.delimiter else b"",
            max_keys=query.limit,
            delimiter=query.delimiter,
            truncated=page.truncated,
            encode=query.encode,
        )
        return self._house.document(request, body)

    def list_objects_v2(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
        query, page = self._page(request, context, queries.parse_list_objects_v2(request.params or ()))
        body = list_documents.list_objects_v2(
            request.bucket,
            rows=self._rows(page, query),
            key_count=len(page.items) + len(page.prefixes),
            prefixes=page.prefixes,
            prefix=query.prefix,
            continuation_token=query.token,
            next_continuation_token=listing.make_token(page.resume) if page.truncated else "",
            start_after=query.marker if query.marker_given else None,
            max_keys=query.limit,
            delimiter=query.delimiter,
            truncated=page.truncated,
            encode=query.encode,
        )
        return self._house.document(request, body)

    def list_object_versions(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"""
        query, page = self._page(request, context, queries.parse_list_versions(request.params or ()))
        rows = list_entries(page.items, encode=query.encode, owner=self._owner, versions=True)
        body = list_documents.list_object_versions(
            request.bucket,
            rows=rows,
            prefixes=page.prefixes,
            prefix=query.prefix,
            key_marker=query.marker,
            version_id_marker=query.version_id_marker,
            next_key_marker=page.last if page.truncated else b"",
            next_version_id_marker="null" if page.truncated and not page.ends_in_prefix else "",
            max_keys=query.limit,
            delimiter=query.delimiter,
            truncated=page.truncated,
            encode=query.encode,
        )
        return self._house.document(request, body)

    def list_multipart_uploads(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html"""
        house = self._house
        refuse_body_hash(context)
        query = queries.parse_list_uploads(request.params or ())
        house.check_bucket(request)
        with closing(house.index.scan_uploads(request.bucket)) as cursor:
            page = query.page(cursor)
        body = list_documents.list_multipart_uploads(
            request.bucket,
            rows=b"".join(
                list_documents.upload_row(upload, owner=house.owner, encode=query.encode) for _, upload in page.items
            ),
            prefixes=page.prefixes,
            prefix=query.prefix,
            key_marker=query.key_marker,
            upload_id_marker=query.upload_id_marker,
            next_key_marker=page.last if page.truncated else b"",
            next_upload_id_marker=page.items[-1][1].upload_id if page.truncated and not page.ends_in_prefix else "",
            max_uploads=query.limit,
            delimiter=query.delimiter,
            truncated=page.truncated,
            encode=query.encode,
        )
        return house.document(request, body)

    def _page(
        self, request: Request, context: SigningContext | None, query: queries.ObjectsQuery
    ) -> tuple[queries.ObjectsQuery, listing.Page[Listed]]:
        refuse_body_hash(context)
        self._house.check_bucket(request)
        with closing(self._house.index.scan(request.bucket)) as scan:
            return query, query.page(_Names(scan))

    def _rows(self, page: listing.Page[Listed], query: queries.ObjectsQuery) -> bytes:
        return list_entries(page.items, encode=query.encode, owner=self._owner if query.fetch_owner else b"")


class _Names:
    """A cursor that reads of each object only what a listing shows."""

    def __init__(self, scan: HeadScan) -> None:
        self.seek = scan.seek
        self.read = scan.page
