"""What the remotes lack: tests that cannot pass in front of them, each with its reason.

Keys are `<file>::<test>` or `<file>::<test>[<parameter>]`. Run with `S3D_TESTS_DIRECT=1`, every one of them fails at
the remote itself, or the run fails.
"""

from __future__ import annotations

_PATHS = "keeps objects in a file system and cleans up their names"
_NORMAL = "refuses names that a file system would resolve"

_AMPERSAND = "takes in tags what S3 takes, and that is no ampersand"

LACKS: dict[str, dict[str, str]] = {
    "seaweedfs": {
        "test_aws_chunked::test_coding_of_the_request_is_not_the_objects": "stores aws-chunked as Content-Encoding",
        "test_bucket_tagging::test_tags_are_read": "takes ASCII in tags only",
        "test_bucket_tagging::test_tags_are_removed": "takes ASCII in tags only",
        "test_bucket_tagging::test_tags_are_stored_at_the_remote": "takes ASCII in tags only",
        "test_copy_object::test_copy_has_bytes_metadata_and_tags": "answers CopyObject with an ETag without quotes",
        "test_create_bucket::test_location_constraint_reaches_the_remote": "knows no regions",
        "test_delete_object::test_other_objects_stay": "cannot have a key and, below it, others",
        "test_get_object::test_range_that_is_none_gives_the_whole_object[bytes=5-2]": "answers InvalidRange",
        "test_get_object::test_range_that_is_none_gives_the_whole_object[bytes=a-b]": "answers InvalidRange",
        "test_head_object::test_range": "ignores Range in HEAD",
        "test_keys::test_object_with_an_odd_key_lives_its_life[double-slash]": _PATHS,
        "test_keys::test_object_with_an_odd_key_lives_its_life[leading-slash]": _PATHS,
        "test_keys::test_object_with_an_odd_key_lives_its_life[only-slashes]": _PATHS,
        "test_keys::test_object_with_an_odd_key_lives_its_life[trailing-slash]": "keeps no bytes under such a key",
        "test_keys::test_object_with_an_odd_key_lives_its_life[parent]": _NORMAL,
        "test_keys::test_object_with_an_odd_key_lives_its_life[parent-inside]": _NORMAL,
        "test_keys::test_object_with_an_odd_key_lives_its_life[dot]": _NORMAL,
        "test_keys::test_object_with_an_odd_key_lives_its_life[dot-inside]": _NORMAL,
        "test_keys::test_object_with_an_odd_key_lives_its_life[dots]": _NORMAL,
        "test_keys::test_object_with_an_odd_key_lives_its_life[backslash]": "reads a backslash as a slash",
        "test_keys::test_object_with_an_odd_key_lives_its_life[longest]": "takes names of up to 255 bytes",
        "test_keys::test_object_with_an_odd_key_lives_its_life[longest-unicode]": "takes names of up to 255 bytes",
        "test_keys::test_object_with_an_odd_key_is_copied[parent]": _NORMAL,
        "test_list_multipart_uploads::test_delimiter": "ignores the delimiter",
        "test_list_multipart_uploads::test_pages": "lists uploads in no order",
        "test_upload_part::test_part_is_replaced": "lists both parts of one number",
        "test_upload_part::test_part_number_out_of_range": "answers InvalidPart",
    },
    "moto": {
        "test_checksums::test_client_gives_it": "forgets the checksum unless an algorithm is named too",
        "test_checksums::test_composite_checksum_of_a_multipart_upload": "makes no composite checksums",
        "test_complete_multipart_upload::test_parts_out_of_order": "checks sizes before order",
        "test_complete_multipart_upload::test_unknown_upload": "answers 500",
        "test_copy_object::test_condition_on_the_source": "ignores conditions on the source",
        "test_create_bucket::test_invalid_name_is_refused": "answers without a body",
        "test_delete_objects::test_quiet_says_nothing_of_what_went_well": "ignores Quiet",
        "test_get_object::test_error_carries_a_request_id": "sends no x-amz-request-id with errors",
        "test_get_object::test_part_number": "ignores partNumber",
        "test_get_object::test_range_that_is_none_gives_the_whole_object[lines=1-2]": "answers 206",
        "test_keys::test_object_with_an_odd_key_lives_its_life[controls]": "finds no route for a line feed",
        "test_keys::test_object_with_an_odd_key_lives_its_life[newlines]": "finds no route for a line feed",
        "test_keys::test_object_with_an_odd_key_is_copied[controls]": "finds no route for a line feed",
        "test_list_multipart_uploads::test_delimiter": "ignores the delimiter",
        "test_list_multipart_uploads::test_pages": "does not say where the next page begins",
        "test_list_objects::test_next_marker_with_a_delimiter": "counts a common prefix on every page",
        "test_list_objects::test_pages_with_a_delimiter": "counts a common prefix on every page",
        "test_put_object::test_tags_in_the_header_are_stored": "refuses an ampersand in a tag",
        "test_upload_part::test_part_number_out_of_range[0]": "answers NoSuchUpload",
        "test_upload_part::test_unknown_upload": "answers 500",
        "test_upload_part_copy::test_unknown_source": "answers 404 without a document",
    },
    # s3d itself, alone or behind another: what it does not do yet.
    "standalone": {
        "test_bucket_cors::test_rules_are_removed": "has no CORS rules yet",
        "test_bucket_cors::test_rules_are_stored_and_read": "has no CORS rules yet",
        "test_bucket_tagging::test_tags_are_read": _AMPERSAND,
        "test_bucket_tagging::test_tags_are_removed": _AMPERSAND,
        "test_bucket_tagging::test_tags_are_stored_at_the_remote": _AMPERSAND,
        "test_bucket_versioning::test_state_is_set_and_read": "has no versions yet",
        "test_delete_object::test_delete_marker_and_version": "has no versions yet",
        "test_get_object::test_version_id": "has no versions yet",
        "test_list_object_versions::test_versions_and_markers": "has no versions yet",
        "test_put_object::test_tags_in_the_header_are_stored": _AMPERSAND,
    },
}
