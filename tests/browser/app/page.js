// A SMART app of a few lines on the public JavaScript client as it is published. What the run wants to know is in `result`.

const query = new URLSearchParams(location.search);
const clientId = sessionStorage.getItem("client") ?? query.get("client");
if (query.get("client")) sessionStorage.setItem("client", query.get("client"));

const tell = (result) => { document.getElementById("result").textContent = JSON.stringify(result); };
const status = (error) => error.statusCode ?? error.status ?? String(error);

async function read(client) {
  const other = sessionStorage.getItem("other");
  const bundle = await client.patient.request("Observation");
  const about = (bundle.entry ?? []).map((entry) => entry.resource.subject.reference);
  const theirs = await client.request(`Observation?patient=${other}`);
  const hidden = await client.request(`Patient/${other}`).then(() => 200, status);
  return {
    patient: client.patient.id,
    name: (await client.patient.read()).name[0].family,
    encounter: client.encounter.id,
    scope: client.getState("tokenResponse.scope"),
    about,
    theirs: theirs.entry?.length ?? 0,
    hidden,
  };
}

/** Reads again by a second token; then the first refresh token comes a second time. */
async function renew(client) {
  const old = client.state.tokenResponse.refresh_token;
  if (!old) return null;
  await client.refresh();
  const renewed = (await client.patient.read()).id;
  const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token: old, client_id: clientId });
  const again = await fetch(client.state.tokenUri, { method: "POST", body });
  const error = (await again.json()).error;
  let after = 200;
  for (let tries = 0; after === 200 && tries < 100; tries += 1) {
    await new Promise((done) => { setTimeout(done, 20); });
    after = await fetch(`${client.state.serverUrl}/Patient/${renewed}`, {
      headers: { authorization: `Bearer ${client.state.tokenResponse.access_token}` },
    }).then((response) => response.status);
  }
  return { renewed, again: again.status, error, after };
}

async function main() {
  if (location.pathname === "/standalone") {
    sessionStorage.setItem("other", query.get("other"));
    const scope = "launch/patient patient/*.rs openid offline_access";
    await FHIR.oauth2.authorize({ clientId, iss: query.get("server"), scope, redirectUri: "/" });
  } else if (location.pathname === "/launch") {
    await FHIR.oauth2.authorize({ clientId, scope: "launch patient/*.rs openid", redirectUri: "/" });
  } else {
    const client = await FHIR.oauth2.ready();
    tell({ ...(await read(client)), refreshed: await renew(client) });
  }
}

main().catch((error) => tell({ failed: String(error) }));
