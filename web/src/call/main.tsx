import { render } from "preact";
import "../common/theme.css";

render(<p>liverelay</p>, document.getElementById("root")!);
