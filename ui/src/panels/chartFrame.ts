/** What the place of a chart is before the chart is there. */

export const HEIGHT = 260;
/** With the groups' names below it: of CSS, because it depends on the width of the page. */
export const WITH_LEGEND = "var(--chart-place)";
