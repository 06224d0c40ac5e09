import { render } from "preact";
import "../common/theme.css";
import "./play.css";
import { Page } from "./page.js";

render(<Page />, document.getElementById("root")!);
