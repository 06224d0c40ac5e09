import { render } from "preact";
import "../common/theme.css";
import "./call.css";
import "./lobby.css";
import "./room.css";
import "./panel.css";
import "./narrow.css";
import { App } from "./app.js";

render(<App />, document.getElementById("root")!);
