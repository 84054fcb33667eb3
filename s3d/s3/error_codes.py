"""S3's error codes: HTTP status and message of each.

Source: "Error responses" in the Amazon S3 API reference, and the messages that S3 sends, where those differ from what
the reference says. Codes of SOAP, of S3 Control and of access grants are left out: nothing here can answer with them.
"""

from __future__ import annotations

from s3d._core.fault import FaultCode

# code → (HTTP status, message)
ERRORS: dict[str, tuple[int, str]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AccountProblem": (403, "There is a problem with your account that prevents the operation from completing."),
    "AllAccessDisabled": (403, "All access to this object has been disabled"),
    "AmbiguousGrantByEmailAddress": (400, "The email address you provided is associated with more than one account."),
    "AuthorizationHeaderMalformed": (400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters that you provided are not valid."),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "BadRequest": (400, "An error occurred when parsing the HTTP request."),
    "BucketAlreadyExists": (
        409,
        (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again."
        ),
    ),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketHasAccessPointsAttached": (400, "The bucket you tried to delete has access points attached."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "ConditionalRequestConflict": (
        409,
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    "CredentialsNotSupported": (400, "This request does not support credentials."),
    "CrossLocationLoggingProhibited": (403, "Cross-region logging is not allowed."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "ExpiredToken": (400, "The provided token has expired."),
    # HTTP's own; S3 closes the connection without a document.
    "HttpVersionNotSupported": (505, "The HTTP version specified is not supported."),
    "IllegalLocationConstraintException": (
        400,
        (
            "The unspecified location constraint is incompatible for the region specific endpoint this request was "
            "sent to."
        ),
    ),
    "IllegalVersioningConfigurationException": (
        400,
        "The versioning configuration specified in the request is invalid.",
    ),
    "IncompleteBody": (
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
    "IncorrectNumberOfFilesInPostRequest": (400, "POST requires exactly one file upload per request."),
    "InlineDataTooLarge": (400, "Inline data exceeds the maximum allowed size."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidAccessPoint": (400, "The specified access point name or account is not valid."),
    "InvalidAccessPointAliasError": (400, "The specified access point alias name is not valid."),
    "InvalidAddressingHeader": (400, "You must specify the Anonymous role."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidBucketOwnerAWSAccountID": (
        400,
        "The value of the expected bucket owner parameter must be an AWS Account ID...",
    ),
    "InvalidBucketState": (409, "The request is not valid with the current state of the bucket."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidEncryptionAlgorithmError": (
        400,
        "The encryption request you specified is not valid. The valid value is AES256.",
    ),
    "InvalidHostHeader": (400, "The host headers provided in the request used the incorrect style addressing."),
    "InvalidHttpMethod": (400, "The request is made using an unexpected HTTP method."),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidObjectState": (403, "The operation is not valid for the object's storage class"),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
            "specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidPayer": (403, "All access to this object has been disabled."),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": (
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ),
    "InvalidRegion": (403, "The Region is not valid for this request."),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period is not valid."),
    "InvalidSecurity": (403, "The provided security credentials are not valid."),
    "InvalidSessionException": (400, "The session does not exist any more: it timed out or expired."),
    "InvalidSignature": (
        400,
        "The request signature that the server calculated does not match the signature that you provided.",
    ),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidTargetBucketForLogging": (
        400,
        (
            "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate "
            "grants for the log-delivery group."
        ),
    ),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KMS.DisabledException": (400, "The specified KMS key is not enabled."),
    "KMS.InvalidKeyUsageException": (400, "The specified KMS key cannot be used in this way."),
    "KMS.KMSInvalidStateException": (400, "The state of the specified KMS key is not valid for this request."),
    "KMS.NotFoundException": (400, "The specified KMS key could not be found."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedACLError": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedPolicy": (400, "Policy has invalid resource"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MaxPostPreDataLengthExceededError": (
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    # HTTP's own (RFC 9110 §15.5.20), for a Host that is not ours.
    "MisdirectedRequest": (421, "This server does not answer for the host that the request names."),
    "MissingAuthenticationToken": (403, "The request was not signed."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "MissingSecurityHeader": (400, "Your request was missing a required header"),
    "NoLoggingStatusForKey": (400, "There is no such thing as a logging status subresource for a key."),
    "NoSuchAccessPoint": (404, "The specified accesspoint does not exist"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": (404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "NotModified": (304, "Not Modified"),
    "NotSignedUp": (403, "Your account is not signed up for the Amazon S3 service."),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "OperationAborted": (
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PermanentRedirect": (
        301,
        (
            "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all "
            "future requests to this endpoint."
        ),
    ),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "Redirect": (307, "Please re-send this request to the specified temporary endpoint."),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size."),
    "RequestIsNotMultiPartContent": (412, "Bucket POST must be of the enclosure-type multipart/form-data"),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "RequestTimeout": (
        400,
        (
            "Your socket connection to the server was not read from or written to within the timeout period. Idle "
            "connections will be closed."
        ),
    ),
    "RequestTorrentOfBucketError": (400, "Requesting the torrent file of a bucket is not permitted."),
    "RestoreAlreadyInProgress": (409, "Object restore is already in progress"),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method."
        ),
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "TemporaryRedirect": (307, "Please re-send this request to the specified temporary endpoint."),
    "TokenRefreshRequired": (400, "The provided token must be refreshed."),
    "TooManyBuckets": (400, "You have attempted to create more buckets than allowed"),
    "UnexpectedContent": (400, "This request does not support content."),
    "UnresolvableGrantByEmailAddress": (400, "The email address you provided does not match any account on record."),
    "UnsupportedArgument": (400, "The request contained an unsupported argument."),
    "UnsupportedSignature": (400, "The signature version of the request is not supported."),
    "UserKeyMustBeSpecified": (
        400,
        (
            "The bucket POST must contain the specified field name. If it is specified, please check the order of the "
            "fields."
        ),
    ),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}

# Why the core refused → (S3's code, the message where it is not the code's own).
FAULTS: dict[FaultCode, tuple[str, str]] = {
    FaultCode.INTERNAL_ERROR: ("InternalError", ""),
    FaultCode.BAD_REQUEST: ("BadRequest", ""),
    FaultCode.INVALID_URI: ("InvalidURI", ""),
    FaultCode.INVALID_BUCKET_NAME: ("InvalidBucketName", ""),
    FaultCode.KEY_TOO_LONG: ("KeyTooLongError", ""),
    FaultCode.METHOD_NOT_ALLOWED: ("MethodNotAllowed", ""),
    FaultCode.NOT_IMPLEMENTED: ("NotImplemented", ""),
    FaultCode.INVALID_ARGUMENT: ("InvalidArgument", ""),
    FaultCode.INVALID_REQUEST: ("InvalidRequest", ""),
    FaultCode.REQUEST_HEADER_SECTION_TOO_LARGE: ("RequestHeaderSectionTooLarge", ""),
    FaultCode.HTTP_VERSION_NOT_SUPPORTED: ("HttpVersionNotSupported", ""),
    FaultCode.MISDIRECTED_REQUEST: ("MisdirectedRequest", ""),
    FaultCode.ACCESS_DENIED: ("AccessDenied", ""),
    FaultCode.AUTHORIZATION_HEADER_MALFORMED: ("AuthorizationHeaderMalformed", ""),
    FaultCode.AUTHORIZATION_QUERY_PARAMETERS_ERROR: ("AuthorizationQueryParametersError", ""),
    FaultCode.CREDENTIALS_NOT_SUPPORTED: ("CredentialsNotSupported", ""),
    FaultCode.EXPIRED_TOKEN: ("ExpiredToken", ""),
    FaultCode.INVALID_ACCESS_KEY_ID: ("InvalidAccessKeyId", ""),
    FaultCode.INVALID_TOKEN: ("InvalidToken", ""),
    FaultCode.MISSING_SECURITY_HEADER: ("MissingSecurityHeader", ""),
    # A presigned URL past its time.
    FaultCode.REQUEST_EXPIRED: ("AccessDenied", "Request has expired"),
    FaultCode.REQUEST_TIME_TOO_SKEWED: ("RequestTimeTooSkewed", ""),
    FaultCode.SIGNATURE_DOES_NOT_MATCH: ("SignatureDoesNotMatch", ""),
    FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED: (
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    ),
    FaultCode.BAD_DIGEST: ("BadDigest", ""),
    FaultCode.ENTITY_TOO_LARGE: ("EntityTooLarge", ""),
    FaultCode.INCOMPLETE_BODY: ("IncompleteBody", ""),
    FaultCode.INVALID_CHUNK_SIZE: ("InvalidChunkSizeError", ""),
    FaultCode.INVALID_DIGEST: ("InvalidDigest", ""),
    FaultCode.MALFORMED_TRAILER: ("MalformedTrailerError", ""),
    FaultCode.MAX_MESSAGE_LENGTH_EXCEEDED: ("MaxMessageLengthExceeded", ""),
    FaultCode.MISSING_CONTENT_LENGTH: ("MissingContentLength", ""),
    FaultCode.REQUEST_TIMEOUT: ("RequestTimeout", ""),
    FaultCode.CONTENT_SHA256_MISMATCH: ("XAmzContentSHA256Mismatch", ""),
    FaultCode.SERVICE_UNAVAILABLE: ("ServiceUnavailable", ""),
    FaultCode.SLOW_DOWN: ("SlowDown", ""),
}
