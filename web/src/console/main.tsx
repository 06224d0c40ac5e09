import { render } from "preact";
import "../common/theme.css";
import "./console.css";
import "./part/part.css";
import { Console } from "./app.js";

render(<Console />, document.getElementById("root")!);
