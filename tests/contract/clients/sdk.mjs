// One operation of the AWS SDK for JavaScript v3: node sdk.mjs OPERATION JSON. Prints what came of it as JSON.
import { createRequire } from "node:module";
import { Readable } from "node:stream";

// `import` does not look at NODE_PATH, `require` does.
const require = createRequire(import.meta.url);
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const settings = {
  endpoint: process.env.S3D_TEST_ENDPOINT,
  region: process.env.AWS_DEFAULT_REGION,
  forcePathStyle: true,
  maxAttempts: 1,
};
const client = new s3.S3Client(settings);
// By default the URL of a PUT carries the checksum of an empty body, which SeaweedFS rightly checks.
const lenient = new s3.S3Client({ ...settings, requestChecksumCalculation: "WHEN_REQUIRED" });

const where = ({ bucket, key }) => ({ Bucket: bucket, Key: key });

const operations = {
  async create({ bucket }) {
    await client.send(new s3.CreateBucketCommand({ Bucket: bucket }));
    return {};
  },
  async put({ body, ...at }) {
    const answer = await client.send(new s3.PutObjectCommand({ ...where(at), Body: body }));
    return { etag: answer.ETag };
  },
  async putStream({ size, ...at }) {
    const Body = Readable.from(Array.from({ length: 10 }, () => Buffer.alloc(size / 10, "s")));
    await client.send(new s3.PutObjectCommand({ ...where(at), Body, ContentLength: size }));
    return {};
  },
  async multipart({ size, ...at }) {
    const params = { ...where(at), Body: Buffer.alloc(size, "m") };
    const answer = await new Upload({ client, params, partSize: 5 << 20 }).done();
    return { location: answer.Location };
  },
  async get(at) {
    const answer = await client.send(new s3.GetObjectCommand(where(at)));
    return { body: await answer.Body.transformToString(), metadata: answer.Metadata };
  },
  async range({ range, ...at }) {
    const answer = await client.send(new s3.GetObjectCommand({ ...where(at), Range: range }));
    return { body: await answer.Body.transformToString(), contentRange: answer.ContentRange };
  },
  async head(at) {
    const answer = await client.send(new s3.HeadObjectCommand(where(at)));
    return { length: answer.ContentLength, type: answer.ContentType };
  },
  async list({ bucket, prefix }) {
    const keys = [];
    for await (const page of s3.paginateListObjectsV2({ client, pageSize: 1 }, { Bucket: bucket, Prefix: prefix })) {
      keys.push(...(page.Contents ?? []).map((entry) => entry.Key));
    }
    return { keys };
  },
  async copy({ source, ...at }) {
    const CopySource = encodeURIComponent(`${at.bucket}/${source}`);
    await client.send(new s3.CopyObjectCommand({ ...where(at), CopySource }));
    return {};
  },
  async tag({ tags, ...at }) {
    const TagSet = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    await client.send(new s3.PutObjectTaggingCommand({ ...where(at), Tagging: { TagSet } }));
    const answer = await client.send(new s3.GetObjectTaggingCommand(where(at)));
    return { tags: Object.fromEntries(answer.TagSet.map((tag) => [tag.Key, tag.Value])) };
  },
  async presignGet(at) {
    const answer = await fetch(await getSignedUrl(client, new s3.GetObjectCommand(where(at)), { expiresIn: 60 }));
    return { status: answer.status, body: await answer.text() };
  },
  async presignPut({ body, ...at }) {
    const url = await getSignedUrl(lenient, new s3.PutObjectCommand(where(at)), { expiresIn: 60 });
    const answer = await fetch(url, { method: "PUT", body });
    return { status: answer.status, body: await answer.text() };
  },
  async remove(at) {
    await client.send(new s3.DeleteObjectCommand(where(at)));
    return {};
  },
  async failure(at) {
    try {
      await client.send(new s3.GetObjectCommand(where(at)));
    } catch (error) {
      return { name: error.name, status: error.$metadata.httpStatusCode };
    }
    return {};
  },
};

const [operation, text] = process.argv.slice(2);
console.log(JSON.stringify(await operations[operation](JSON.parse(text))));
client.destroy();
lenient.destroy();
