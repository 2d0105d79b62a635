/** What the place of a chart is before the chart is there. */

export const HEIGHT = 260;
/** One line of the groups' names below it. */
export const LEGEND_HEIGHT = 32;
