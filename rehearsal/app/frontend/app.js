const form = document.getElementById("sign-in");
const signedIn = document.getElementById("signed-in");
const problem = document.getElementById("problem");
const key = "echora_token";

async function call(path, body) {
  const token = localStorage.getItem(key);
  const reply = await fetch(`/api/auth/${path}`, {
    method: body ? "POST" : "GET",
    headers: { ...(body && { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(answer.error ?? `The server answered with status ${reply.status}`);
  return answer;
}

function show(user) {
  form.hidden = Boolean(user);
  signedIn.hidden = !user;
  if (user) {
    document.getElementById("name").textContent = user.username;
    document.getElementById("role").textContent = user.role;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const fields = Object.fromEntries(new FormData(form));
  try {
    const { token, user } = await call(form.classList.contains("registering") ? "register" : "login", fields);
    localStorage.setItem(key, token);
    show(user);
  } catch (error) {
    problem.textContent = error.message;
  }
});

document.getElementById("switch").addEventListener("click", (event) => {
  event.preventDefault();
  const registering = form.classList.toggle("registering");
  form.querySelector("button").textContent = registering ? "Create account" : "Sign in";
  event.target.textContent = registering ? "Sign in instead" : "Create an account";
});

document.getElementById("sign-out").addEventListener("click", () => {
  localStorage.removeItem(key);
  show(null);
});

if (localStorage.getItem(key)) {
  call("me").then(show, () => localStorage.removeItem(key));
}
