import { render } from "preact";
import "../common/theme.css";
import "./call.css";
import { App } from "./app.js";

render(<App />, document.getElementById("root")!);
