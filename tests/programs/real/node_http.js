// node's http: `serve ADDRESS PORT FILE` answers with the file and echoes what is posted; `ask ADDRESS PORT` posts.
const http = require("http"), crypto = require("crypto"), fs = require("fs");
const [, , what, address, port, file] = process.argv;

function serve() {
    http.createServer((request, response) => {
        if (request.method === "POST") request.pipe(response);
        else fs.createReadStream(file).pipe(response);
    }).listen(Number(port), address, () => console.log("listening"));
}

function post(agent, body) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host: address, port, method: "POST", agent }, response => {
            const parts = [];
            response.on("data", part => parts.push(part));
            response.on("end", () => resolve(Buffer.concat(parts)));
        });
        request.on("error", reject);
        request.end(body);
    });
}

async function ask() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
    const bodies = Array.from({ length: 100 }, (_, place) => crypto.randomBytes(1 + 1999 * place));
    const answers = await Promise.all(bodies.map(body => post(agent, body)));
    if (!answers.every((answer, place) => answer.equals(bodies[place]))) throw new Error("other octets");
    agent.destroy();
    console.log("100 bodies");
}

if (what === "serve") serve();
else ask().catch(error => { console.error(error); process.exit(1); });
