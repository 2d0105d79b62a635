/** What stands in the place of a part of the page that could not be loaded or drawn. */

import { Component, type ReactNode } from "react";

export class NewerPage extends Error {
  constructor() {
    super("the server has a newer page");
  }
}

export class Mishap extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <section className="panel mishap" role="alert">
        <p>
          {error instanceof NewerPage
            ? "taximeter was upgraded while this page was open. What was asked for is part of the newer page; nothing of the view is lost by loading it."
            : `This part of the page failed: ${error.message}`}
        </p>
        <button type="button" onClick={() => window.location.reload()}>
          Load the page again
        </button>
      </section>
    );
  }
}
