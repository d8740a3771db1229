// Orders with Node and amqplib through HAProxy (../haproxy.cfg), behind which the leader always is.
//
// npm ci
// AMQP_URL=amqp://app:secret@haproxy:5672 node orders.js publish FIRST LAST
// AMQP_URL=amqp://app:secret@haproxy:5672 node orders.js consume           until Ctrl-C
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import amqp from "amqplib";

const QUEUE = "recipes-node";
const PATIENCE = 10_000; // ms for a confirm

// A connection and a channel with everything declared, as soon as they can be had.
async function connected() {
  for (;;) {
    let connection;
    try {
      connection = await amqp.connect(process.env.AMQP_URL, { timeout: 5_000 });
      connection.on("error", () => {}); // "close" follows
      const channel = await connection.createConfirmChannel();
      channel.on("error", () => connection.close().catch(() => {}));
      await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
      return { connection, channel };
    } catch {
      connection?.close().catch(() => {});
      await sleep(500);
    }
  }
}

// Whether the broker has confirmed a message; fails when the connection ends, or nothing comes in time.
function confirmed(channel, body, messageId) {
  return new Promise((resolve, reject) => {
    channel.sendToQueue(QUEUE, Buffer.from(body), { persistent: true, messageId }, (error) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    });
    const timer = setTimeout(() => reject(new Error("no confirm")), PATIENCE);
  });
}

// Each order until it is confirmed: under one id, so that a consumer can tell the second one.
async function publish(first, last) {
  let { connection, channel } = await connected();
  for (let number = first; number <= last; number++) {
    const id = randomUUID();
    for (;;) {
      try {
        await confirmed(channel, `order ${number}`, id);
        break;
      } catch {
        connection.close().catch(() => {});
        await sleep(500);
        ({ connection, channel } = await connected());
      }
    }
    console.log(`confirmed: order ${number}`);
    await sleep(50);
  }
  await connection.close().catch(() => {});
}

async function consume() {
  for (;;) {
    const { connection, channel } = await connected();
    const closed = new Promise((resolve) => connection.on("close", resolve));
    try {
      await channel.prefetch(100);
      await channel.consume(QUEUE, (message) => {
        if (message === null) {
          connection.close().catch(() => {}); // the broker has cancelled the consumer: begin again
          return;
        }
        console.log(`received: ${message.content}`);
        channel.ack(message);
      });
    } catch {
      connection.close().catch(() => {});
    }
    await closed;
  }
}

const [what, first, last] = process.argv.slice(2);
if (what === "publish") await publish(Number(first), Number(last));
else await consume();
